"""Quantum depth-infused layer: features in, expectation values out."""
