"""Classical terms: walls, water and its charges, bonds, angles, Lennard-Jones."""
