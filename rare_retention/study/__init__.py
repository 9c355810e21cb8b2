"""Studies: a grid of runs, their execution and results, and the claims that these judge."""
