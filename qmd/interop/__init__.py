"""Interfaces through which other programs call qmd."""
