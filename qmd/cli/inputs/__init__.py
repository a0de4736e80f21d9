"""Kinds of input files: templates, schemas and checks."""
