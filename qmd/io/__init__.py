"""Files: atomic writes, structures, trajectories, checkpoints, topologies."""
