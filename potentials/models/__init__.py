"""Ready-made architectures; data only."""
