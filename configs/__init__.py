"""Experiments, one a file: `--config=configs/x.py` or, where they are installed, `configs.x`."""
