"""Reports: one HTML file with everything in it, which opens offline."""
