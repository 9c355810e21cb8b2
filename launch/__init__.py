"""The command lines of rare_retention: one small main a file, `python -m launch.<name>`."""
