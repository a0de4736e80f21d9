"""JAX energies of the classical terms."""

from itertools import combinations
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..constants import COULOMB
from .ewald import EwaldCharges
from .molecular import HarmonicAngles, HarmonicBonds, LennardJones, MorseBonds, PointCharges
from .truncated import TruncatedLennardJones
from .walls import ShortRangeWall, SphericalWall
from .water import BOND, DAMPING, R6, WATER_KINDS, WATER_PAIRS, WaterBaseline


def distances(pairs: Any, positions: Float[Array, "atoms 3"]) -> Float[Array, " pairs"]:
    """Return the distances (angstrom) of pairs of atoms."""
    i, j = np.array(pairs).T
    distances: Array = jnp.linalg.norm(positions[i] - positions[j], axis=-1)
    return distances


def morse_energy(model: MorseBonds, positions: Float[Array, "atoms 3"]) -> Float[Array, ""]:
    """Return the energy (eV) of Morse bonds."""
    stretch = distances(model.bonds, positions) - model.length
    return model.depth * jnp.sum((1 - jnp.exp(-model.steepness * stretch)) ** 2)


def bonds_energy(model: HarmonicBonds, positions: Float[Array, "atoms 3"]) -> Float[Array, ""]:
    """Return the energy (eV) of harmonic bonds."""
    stretch = distances(model.bonds, positions) - model.length
    return model.stiffness / 2 * jnp.sum(stretch**2)


def angles_energy(model: HarmonicAngles, positions: Float[Array, "atoms 3"]) -> Float[Array, ""]:
    """Return the energy (eV) of harmonic angles."""
    i, vertex, k = np.array(model.angles).T
    u, v = positions[i] - positions[vertex], positions[k] - positions[vertex]
    sine = jnp.linalg.norm(jnp.cross(u, v), axis=-1)
    bend = jnp.arctan2(sine, jnp.sum(u * v, axis=-1)) - model.angle
    return model.stiffness / 2 * jnp.sum(bend**2)


def lennard_jones_energy(
    model: LennardJones, positions: Float[Array, "atoms 3"]
) -> Float[Array, ""]:
    """Return the Lennard-Jones energy (eV) of all pairs of the atoms."""
    pairs = list(combinations(model.atoms, 2))
    sixth = (model.diameter / distances(pairs, positions)) ** 6
    return 4 * model.depth * jnp.sum(sixth * (sixth - 1))


def truncated_energy(
    model: TruncatedLennardJones, positions: Float[Array, "atoms 3"]
) -> Float[Array, ""]:
    """Return the truncated Lennard-Jones energy (eV) of an isolated system, over all pairs."""
    i, j = np.triu_indices(model.n_atoms, 1)
    pairs = i, j, np.zeros((len(i), 3))
    return truncated_in_cell(model, positions, jnp.zeros((3, 3)), pairs)


def truncated_in_cell(
    model: TruncatedLennardJones,
    positions: Float[Array, "atoms 3"],
    cell: Float[Array, "3 3"],
    pairs: tuple[Any, Any, Any],
) -> Float[Array, ""]:
    """Return the truncated Lennard-Jones energy (eV) of listed pairs, with its tail correction."""
    i, j, shifts = pairs
    d = positions[j] - positions[i] + shifts @ cell
    square = jnp.sum(d * d, axis=-1)
    near = (square < model.cutoff**2) & (square > 0)  # a pair of length 0 fills an empty place
    square = jnp.where(near, square, model.cutoff**2)
    r, sixth = jnp.sqrt(square), (model.diameter**2 / square) ** 3
    a, b = model.line
    energy = 4 * model.depth * sixth * (sixth - 1) + a + b * r
    if model.truncation == "switch":
        t = jnp.clip((r - model.inner) / (model.cutoff - model.inner), 0.0, 1.0)
        energy = energy * (1 - t**3 * (10 - t * (15 - 6 * t)))
    total = jnp.sum(jnp.where(near, energy, 0.0))
    if model.tail:
        volume = jnp.abs(jnp.linalg.det(cell))
        total = total + model.tail_coefficients[0] * model.n_atoms**2 / volume
    return total


def charges_energy(model: PointCharges, positions: Float[Array, "atoms 3"]) -> Float[Array, ""]:
    """Return Coulomb's energy (eV) between the atoms of different molecules."""
    charges, molecules = np.array(model.charges), np.array(model.molecules)
    i, j = np.triu_indices(model.n_atoms, 1)
    apart = molecules[i] != molecules[j]
    i, j = i[apart], j[apart]
    r = distances(np.stack([i, j], axis=1), positions)
    return COULOMB * jnp.sum(charges[i] * charges[j] / r)


def ewald_energy(model: EwaldCharges, positions: Float[Array, "atoms 3"]) -> Float[Array, ""]:
    """Refuse: the number of waves of a sum depends on the cell, and JAX needs it beforehand."""
    raise ValueError("Ewald sums are for periodic cells, on the native backend.")


def water_energy(model: WaterBaseline, positions: Float[Array, "atoms 3"]) -> Float[Array, ""]:
    """Return the interaction energy (eV) of two waters by charges and pair terms."""
    p, kinds = model.parameters, np.array(WATER_KINDS)
    r = distances(WATER_PAIRS, positions)
    repulsion = jnp.exp(jnp.asarray(p.repulsion)[kinds] - jnp.asarray(p.decay)[kinds] * r)
    dispersion = jnp.asarray(p.dispersion)[kinds] / (r**6 + R6)
    x1, q1 = _sites(model, positions[:3])
    x2, q2 = _sites(model, positions[3:])
    d = jnp.linalg.norm(x1[:, None] - x2[None], axis=-1)
    coulomb = COULOMB * q1[:, None] * q2[None] * (1 - jnp.exp(-((d / DAMPING) ** 3))) / d
    return jnp.sum(coulomb) + jnp.sum(repulsion - dispersion)


def _sites(
    model: WaterBaseline, positions: Float[Array, "3 3"]
) -> tuple[Float[Array, "3 3"], Float[Array, " 3"]]:
    """Positions and charges of H1, H2, M of one molecule."""
    p, (o, h1, h2) = model.parameters, positions
    d1, d2 = jnp.linalg.norm(h1 - o) - BOND, jnp.linalg.norm(h2 - o) - BOND
    q1, q2 = p.charge + p.stretch * d1 + p.cross * d2, p.charge + p.stretch * d2 + p.cross * d1
    m = o + p.site * ((h1 + h2) / 2 - o)
    return jnp.stack([h1, h2, m]), jnp.stack([q1, q2, -(q1 + q2)])


def wall_energy(model: ShortRangeWall, positions: Float[Array, "atoms 3"]) -> Float[Array, ""]:
    """Return the energy (eV) of walls at short distances."""
    inside = np.array(model.onsets) - distances(model.pairs, positions)
    return model.stiffness * jnp.sum(jnp.maximum(inside, 0.0) ** 3)


def sphere_energy(model: SphericalWall, positions: Float[Array, "atoms 3"]) -> Float[Array, ""]:
    """Return the energy (eV) of a sphere about the origin."""
    outside = jnp.linalg.norm(positions, axis=-1) - model.radius
    return model.stiffness * jnp.sum(jnp.maximum(outside, 0.0) ** 3)
