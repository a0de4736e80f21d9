"""Vectors as wide as the processor's, and functions of them."""
