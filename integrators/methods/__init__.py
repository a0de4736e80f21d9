"""One method of integration a file, on the base that they share."""
