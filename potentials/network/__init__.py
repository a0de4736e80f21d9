"""Atom-centred networks: one circuit or perceptron for each atom."""
