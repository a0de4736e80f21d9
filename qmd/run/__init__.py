"""`qmd run`: set up, integrate, report, resume."""
