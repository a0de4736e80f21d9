"""`qmd ensemble`: many runs of one input."""
