"""Layout of the arrays that `native` packs for `kernel`: places in `program`, sizes of records."""

# fmt: off
# Places of sizes and offsets at the head of `program`.
(N_ATOMS, N_VECTORS, N_PAIRS, N_SECTORS, N_LAYERS, N_ENCODINGS, N_OPERATIONS, N_TERMS,
 WEIGHTS, SCALES, OFFSET, INITIAL, VECTORS, GRADIENT, TURNS, STATES, ADJOINTS, SCRATCH,
 OUTER, TORQUES, OPERATIONS, TERMS, SPINS, TWO_PAIRS,
 N_ENTRIES, N_RADIAL, ENTRIES, RANGES, STEPS, COEFFICIENTS, CUTOFF, RADIAL, GAUSSIANS,
 READ, PREPARE, PROPAGATE, WRITE, HEAD) = range(38)
# fmt: on
RECORD = 7
"""Integers of an operation: kind, pair or sector flip, pattern, two flips, offset, layer stride."""
VECTOR = 5
"""Numbers of an encoding vector: x, y, z, cos r, sin r / r."""

# Vector densities have entries, linear vectors none. Per entry RADIAL keeps, for each encoding,
# w / r and dw / dr, both filled up to fours, and then the unit vector.
