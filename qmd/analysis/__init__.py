"""What a trajectory says: numbers from runs, and one run against another.

One direction: `series` reads a run through MDAnalysis; `conservation`, `temperature`, `internal`,
`hydrogen_bonds`, `spectrum` and `diffusion` make numbers of it; `analyze` and `compare` put them
together; `qmd.report` shows them.
"""
