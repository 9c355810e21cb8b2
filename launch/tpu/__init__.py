"""Creates Cloud TPU slices, runs the project's commands on them, and deletes them again."""
