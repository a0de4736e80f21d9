"""Generic variational circuit without built-in symmetry, for comparison."""
