"""Atom-centred networks: one circuit or perceptron per atom."""
