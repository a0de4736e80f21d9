"""Potentials as trees of terms: nodes, walks, JAX, native kernel, gradients."""
