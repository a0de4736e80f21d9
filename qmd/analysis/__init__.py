"""Analysis of runs, and comparison of one run with another.

Imports run in one direction: `series` reads a run through MDAnalysis; `conservation`,
`temperature`, `internal`, `spectrum` and `diffusion` compute quantities from it, `condensed` those
of systems in cells, and hydrogen bonds; `statics` finds minima and vibrations of potentials;
`analyze` and `compare` combine them; the reports show them.
"""
