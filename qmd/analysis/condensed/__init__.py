"""Properties of liquids and solids: pair distributions, densities, diffusion, hydrogen bonds."""
