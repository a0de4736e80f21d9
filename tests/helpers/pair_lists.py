"""All pairs within a cut-off by brute force, and random boxes, as oracles of neighbour lists."""

import itertools

import numpy as np


def brute_force(positions, cell, cutoff):
    """Sorted (i, j, three shifts) of all pairs: every pair of atoms, every image in reach."""
    inverse = np.linalg.pinv(cell)
    periodic = np.any(cell != 0, axis=1)
    reach = [  # images on either side of the nearest one
        int(cutoff * np.linalg.norm(inverse[:, k])) + 2 if periodic[k] else 0 for k in range(3)
    ]
    images = np.array(list(itertools.product(*(range(-n, n + 1) for n in reach))))
    found = []
    for i, j in itertools.combinations_with_replacement(range(len(positions)), 2):
        d = positions[j] - positions[i]
        shifts = images - np.rint(d @ inverse).astype(int) * periodic
        vectors = d + shifts @ cell
        near = shifts[np.einsum("pk,pk->p", vectors, vectors) < cutoff * cutoff]
        for shift in near.tolist():
            if i != j or shift > [0, 0, 0]:
                found.append((i, j, *shift))
    return sorted(found)


def random_box(seed):
    """Positions, cell and cut-off: tilted, small, slabs, wires, isolated, wrapped or far away."""
    rng = np.random.default_rng(seed)
    while True:
        cell = np.diag(rng.uniform(1.5, 12, 3)) + rng.uniform(-3, 3, (3, 3)) * rng.integers(0, 2)
        if np.linalg.svd(cell)[1].min() > 1.2:
            break
    periodic = rng.random(3) < rng.choice([0.0, 0.5, 1.0], p=[0.1, 0.3, 0.6])
    fractions = rng.random((rng.integers(1, 40), 3)) + rng.choice([0, 3]) * rng.integers(-2, 3, 3)
    if rng.random() < 0.5:
        fractions += rng.integers(-2, 3, fractions.shape)
    positions = fractions @ cell
    return positions, cell * periodic[:, None], rng.uniform(0.5, 6.5)
