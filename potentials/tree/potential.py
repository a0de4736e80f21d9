"""Potentials in JAX: their interface, and its implementation by trees."""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from qmd.integrators import neighbour_pairs

from . import jax_energy as jax_model
from .nodes import Model


class AbstractPotential(eqx.Module):
    """Differentiable potential energy surface, in eV and angstrom.

    Implementations are final; compose them by wrapping.
    """

    @abc.abstractmethod
    def energy(self, positions: Float[Array, "atoms 3"]) -> Float[Array, ""]:
        """Return the energy (eV), a scalar, at `positions` (angstrom), shape (n_atoms, 3)."""

    def energy_and_forces(
        self, positions: Float[Array, "atoms 3"]
    ) -> tuple[Float[Array, ""], Float[Array, "atoms 3"]]:
        """Return energy (eV) and forces (eV/angstrom), shape (n_atoms, 3)."""
        energy, gradient = jax.value_and_grad(self.energy)(positions)
        return energy, -gradient


class ModelPotential(AbstractPotential):
    """Potential of any tree, e.g. `Quantum` or `ManyBody`.

    Parameters
    ----------
    model : Model
        Tree; NumPy arrays in it become constants of a compiled program.

    Raises
    ------
    ValueError
        If parameters do not fit their architecture.
    """

    model: Model

    def __check_init__(self) -> None:
        self.model.check()

    def energy(self, positions: Float[Array, "atoms 3"]) -> Float[Array, ""]:
        """Return the energy (eV), a scalar, at `positions` (angstrom), shape (n_atoms, 3)."""
        return jax_model.energy(self.model, positions)


def compiled(
    potential: AbstractPotential,
) -> Callable[[ArrayLike], tuple[Float[Array, ""], Float[Array, "atoms 3"]]]:
    """Return the jitted `energy_and_forces` with the parameters as constants of the program.

    With constant parameters, the layers of circuits are multiplied out once, at compile time.

    Raises
    ------
    RuntimeError
        If JAX is not in double precision.
    """
    require_float64()
    return jax.jit(lambda positions: potential.energy_and_forces(positions))


def compiled_in_cell(
    model: Model,
) -> Callable[[np.ndarray, np.ndarray], tuple[float, np.ndarray, np.ndarray]]:
    """Return energy, forces and virial of a model in a cell, jitted but for the search of pairs.

    Parameters
    ----------
    model : Model

    Returns
    -------
    callable
        Positions (n_atoms, 3) and cell (3, 3), lattice vectors in rows, in angstrom, to energy
        (eV), forces (eV/angstrom) and virial (eV), the negative derivative by a strain of both.

    Raises
    ------
    RuntimeError
        If JAX is not in double precision.
    ValueError
        When called: if a part of the model is for isolated systems only.
    """
    require_float64()
    model.check()
    reach = jax_model.cutoff(model)

    def strained(positions: Array, strain: Array, cell: Array, pairs: Any) -> Array:
        by = jnp.eye(3) + strain
        return jax_model.energy_in_cell(model, positions @ by, cell @ by, pairs)

    derivatives = jax.jit(jax.value_and_grad(strained, argnums=(0, 1)))

    def energy_forces_virial(
        positions: np.ndarray, cell: np.ndarray
    ) -> tuple[float, np.ndarray, np.ndarray]:
        pairs: Any = _no_pairs()
        if reach:
            pairs = with_slots(*neighbour_pairs(positions, cell, reach), len(positions))
        energy, (slopes, strain) = derivatives(positions, jnp.zeros((3, 3)), cell, pairs)
        return float(energy), -np.asarray(slopes), -np.asarray(strain)

    return energy_forces_virial


def _no_pairs() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return np.zeros(0, int), np.zeros(0, int), np.zeros((0, 3))


def with_slots(
    i: np.ndarray, j: np.ndarray, shifts: np.ndarray, n_atoms: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return pairs as `jax_energy.energy_in_cell` takes them, filled up, with slots of atoms."""
    filled = _filled_up(i, j, shifts)
    return *filled, _slots(i, j, n_atoms, len(filled[0]))


def _filled_up(
    i: np.ndarray, j: np.ndarray, shifts: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fill up with empty places, the last one among them, to one of few sizes.

    JAX compiles anew for each size.
    """
    size = 64
    while size <= len(i):
        size += size // 4
    more = (0, size - len(i))
    return np.pad(i, more), np.pad(j, more), np.pad(shifts.astype(float), (more, (0, 0)))


def _slots(i: np.ndarray, j: np.ndarray, n_atoms: int, n_pairs: int) -> np.ndarray:
    """Return the pairs of each atom, as many slots for each, of one of few numbers.

    A pair is known by its place if the atom is its first, else by `n_pairs` plus its place. The
    last place, which is empty, fills up.
    """
    centres = np.concatenate([i, j])
    places = np.concatenate([np.arange(len(i)), n_pairs + np.arange(len(i))])
    order, counts = np.argsort(centres, kind="stable"), np.bincount(centres, minlength=n_atoms)
    size = 8
    while size < counts.max(initial=0):
        size += size // 8
    slots = np.full((n_atoms, size), n_pairs - 1)
    slots[np.arange(size) < counts[:, None]] = places[order]
    return slots


def require_float64() -> None:
    """Raise RuntimeError unless JAX computes in double precision (its default is single)."""
    if jnp.result_type(float) != jnp.float64:
        raise RuntimeError(
            "Potentials need float64, but JAX is in its default single precision. "
            'Call jax.config.update("jax_enable_x64", True) first.'
        )
