"""Interfaces that let other programs call qmd."""
