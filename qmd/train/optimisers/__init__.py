"""Optimisers of a training, first and second order."""
