"""Where the forces of a run come from: potentials by name, sums, reference methods."""
