"""Molecules as numbers: atoms, velocities, topology."""
