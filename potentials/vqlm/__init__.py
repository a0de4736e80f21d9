"""The generic variational circuit without built-in symmetry, as a baseline."""
