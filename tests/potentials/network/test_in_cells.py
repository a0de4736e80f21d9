"""Compiled derivatives of networks in cells by their parameters."""

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from qmd.integrators import neighbour_pairs
from qmd.potentials import cell_gradient, jax_model, perceptron
from qmd.potentials.models import atom_centred, spc_fw

SPECIES = ("O", "H", "H", "O", "H")
CELL = np.array([[4.1, 0.0, 0.0], [0.7, 3.9, 0.0], [-0.5, 0.6, 4.3]])
CUTOFF = 3.6  # more than half of the cell: several images of each atom, and of an atom itself
KINDS: dict[str, dict[str, Any]] = {
    "rank one": {}, "rank two": {"rank": 2}, "no scalars": {"scalars": False},
    "perceptron": {"n_tensors": 2}, "perceptron of rank one": {"n_tensors": 0},
}  # fmt: skip
ROUNDING = 1e-11
"""Sums of some thousand terms of up to 1 eV (or eV/angstrom), in another order."""
STEP = 1e-5
DIFFERENCES = 1e-7
"""Of central differences, relative: the square of the step, 1e-10, times third derivatives that are
up to 100 times the first, and rounding 1e-16 of 100 eV over the step, 1e-9."""
BY_CHANNELS = 3e-8
"""Of the central differences within the kernel, whose step is 1e-4, relative."""


def network(name: str) -> Any:
    if name.startswith("perceptron"):
        sizes = {"n_vectors": 3, "n_scalars": 2, "n_hidden": 4, "n_radial": 5, "cutoff": CUTOFF}
        return perceptron.centred(SPECIES, 1, **sizes, **KINDS[name])
    size = {"n_qubits": 2, "n_layers": 1, "n_radial": 5, "cutoff": CUTOFF}
    return atom_centred.revised(SPECIES, 1, **size, **KINDS[name])


@cache
def positions() -> np.ndarray:
    rng = np.random.default_rng(3)
    shape = len(SPECIES), 3
    return np.asarray((rng.uniform(size=shape) + rng.integers(-2, 3, size=shape)) @ CELL)


def evaluated(model: Any) -> tuple[Any, Any]:
    kernel = cell_gradient(model)
    return kernel, kernel.evaluate(kernel.surroundings(positions(), CELL))


@pytest.mark.parametrize("name", KINDS)
def test_energy_forces_and_virial_are_those_of_jax(name: str) -> None:
    model, x = network(name), positions()
    i, j, shifts = neighbour_pairs(x, CELL, CUTOFF)

    @jax.jit
    def derivatives(x: Any, strain: Any) -> Any:
        def energy(x: Any, strain: Any) -> Any:
            by = jnp.eye(3) + strain
            return jax_model.energy_in_cell(model, x @ by, CELL @ by, (i, j, shifts.astype(float)))

        return jax.value_and_grad(energy, argnums=(0, 1))(x, strain)

    energy, (slopes, strain) = derivatives(x, np.zeros((3, 3)))
    _, found = evaluated(model)
    assert found.energy == pytest.approx(float(energy), abs=ROUNDING)
    np.testing.assert_allclose(found.forces, -np.asarray(slopes), atol=ROUNDING)
    np.testing.assert_allclose(found.virial, -np.asarray(strain), atol=ROUNDING)


@pytest.mark.parametrize("name", KINDS)
def test_gradient_is_the_slope_of_energy_forces_and_virial(name: str) -> None:
    model, rng = network(name), np.random.default_rng(5)
    theta, unravel = ravel_pytree(model)
    along, strain = rng.standard_normal((len(SPECIES), 3)), rng.standard_normal((3, 3))
    direction = rng.standard_normal(theta.size)

    def combined(step: float) -> float:
        tree = unravel(theta + step * direction)
        _, found = evaluated(jax.tree.map(np.asarray, tree))
        pushed = np.sum(along * found.forces) + np.sum(strain * found.virial)
        return float(0.7 * found.energy - pushed)

    kernel, found = evaluated(model)
    slope = (combined(STEP) - combined(-STEP)) / (2 * STEP)
    gradient = kernel.gradient(found, 0.7, along, strain)
    size = float(np.linalg.norm(gradient) * np.linalg.norm(direction))
    assert float(gradient @ direction) == pytest.approx(slope, abs=DIFFERENCES * size)


@pytest.mark.parametrize("name", KINDS)
def test_rows_are_gradients_of_one_coordinate(name: str) -> None:
    kernel, found = evaluated(network(name))
    still = np.zeros((len(SPECIES), 3))
    energy = kernel.gradient(found, 1.0, still)
    np.testing.assert_allclose(kernel.energy_row(found), energy, atol=ROUNDING)
    atoms, axes = np.array([0, 4, 2]), np.array([1, 2, 0])
    rows = kernel.slope_rows(found, atoms, axes)
    for row, atom, axis in zip(rows, atoms, axes, strict=True):
        along = still.copy()
        along[atom, axis] = 1.0
        expected = kernel.gradient(found, 0.0, along)
        np.testing.assert_allclose(row, expected, atol=BY_CHANNELS * np.abs(expected).max())


def test_a_tree_has_no_compiled_derivatives_in_cells() -> None:
    with pytest.raises(ValueError, match="no compiled derivatives in cells"):
        cell_gradient(spc_fw.BY_NAME["spc-fw"].model(1))
