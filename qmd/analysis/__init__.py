"""Analysis of runs, and comparison of one run with another.

Imports run in one direction: `series` reads a run through MDAnalysis; `conservation`,
`temperature`, `internal`, `hydrogen_bonds`, `spectrum` and `diffusion` compute quantities from it,
`bulk`, `radial` and `displacement` those of a system in a cell, by `pairs`;
`analyze` and `compare` combine them; the reports show them.
"""
