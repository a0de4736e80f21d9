"""`qmd train`: fit a potential to labels and package it."""
