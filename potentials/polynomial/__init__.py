"""Invariant polynomials of one molecule."""
