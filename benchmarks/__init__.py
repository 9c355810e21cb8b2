"""Timings side by side; `python -m benchmarks --help` lists them."""
