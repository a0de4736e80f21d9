"""Circuits of a potential with their parameters: drawing and resources."""
