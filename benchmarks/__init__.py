"""Benchmarks: one module per table, each with its target. `python -m benchmarks` prints them."""
