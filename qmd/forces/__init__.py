"""Forces of a run: potentials by name, sums and committees, reference methods."""
