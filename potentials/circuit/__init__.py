"""Circuits with singlets and vector encodings: data, JAX, native kernel, PennyLane."""
