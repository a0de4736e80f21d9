"""Minima of potentials, and vibrations about them."""
