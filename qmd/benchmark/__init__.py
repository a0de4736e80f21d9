"""`qmd benchmark`: potentials by systems by measures, with tables and report."""
