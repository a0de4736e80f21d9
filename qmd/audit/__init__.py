"""`qmd potential check`: symmetries, forces, smoothness, agreement of interpreters."""
