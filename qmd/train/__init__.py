"""`qmd train`: fit a potential to labels and package it."""

from qmd._command_package import make_callable

make_callable(__name__)
