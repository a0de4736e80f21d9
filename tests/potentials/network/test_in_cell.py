"""Networks in periodic cells: sums over pairs are those of isolated atoms, and of supercells."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qmd.integrators import neighbour_pairs
from qmd.potentials import jax_model
from qmd.potentials.models import atom_centred
from qmd.potentials.network.perceptron import centred

SPECIES = ("O", "H", "H", "O", "H", "H")
CELL = np.array([[4.1, 0.0, 0.0], [0.7, 3.9, 0.0], [-0.5, 0.6, 4.3]])
CUTOFF = 3.6  # more than half of the cell: several images of each atom, and of an atom itself


def network(species: tuple[str, ...], **settings: Any) -> Any:
    size = {"n_qubits": 2, "n_layers": 1, "n_radial": 5, "cutoff": CUTOFF}
    return atom_centred.revised(species, 1, **size, **settings)


def perceptron(species: tuple[str, ...]) -> Any:
    size = {"n_vectors": 3, "n_scalars": 2, "n_hidden": 4, "n_tensors": 2}
    return centred(species, 1, **size, n_radial=5, cutoff=CUTOFF)


MODELS: dict[str, Callable[..., Any]] = {
    "rank one": network,
    "rank two": lambda species: network(species, rank=2),
    "no scalars": lambda species: network(species, scalars=False),
    "perceptron": perceptron,
}


isolated, in_cell = jax.jit(jax_model.energy), jax.jit(jax_model.energy_in_cell)


def places() -> np.ndarray:
    rng = np.random.default_rng(3)
    fractions = rng.uniform(size=(6, 3)) + rng.integers(-2, 3, size=(6, 3))  # not wrapped
    return fractions @ CELL


def listed(positions: np.ndarray, cell: np.ndarray, size: int = 400) -> Any:
    """Return the pairs, filled up with empty places so that each function is compiled once."""
    i, j, shifts = neighbour_pairs(positions, cell, CUTOFF)
    more = (0, size - len(i))
    return np.pad(i, more), np.pad(j, more), np.pad(shifts.astype(float), (more, (0, 0)))


@pytest.mark.parametrize("name", MODELS)
def test_without_a_cell_the_energy_is_that_of_the_isolated_atoms(name: str) -> None:
    model, none = MODELS[name](SPECIES), np.zeros((3, 3))
    x = np.random.default_rng(4).uniform(0, 4, size=(6, 3))
    # Sums of up to 30 terms in another order.
    assert float(in_cell(model, x, none, listed(x, none))) == pytest.approx(
        float(isolated(model, x)), abs=1e-13
    )


@pytest.mark.parametrize("name", MODELS)
def test_a_cell_of_two_cells_has_twice_the_energy(name: str) -> None:
    make = MODELS[name]
    x, double = places(), CELL * [[2], [1], [1]]
    both = np.concatenate([x, x + CELL[0]])
    one = float(in_cell(make(SPECIES), x, CELL, listed(x, CELL)))
    two = float(in_cell(make(SPECIES * 2), both, double, listed(both, double)))
    offsets = make(SPECIES).parameters.offsets
    assert abs(one - offsets @ np.bincount([1, 0, 0, 1, 0, 0])) > 1e-4  # there is a surrounding
    assert two == pytest.approx(2 * one, abs=1e-12)


@pytest.mark.parametrize("name", ["rank two", "perceptron"])
def test_forces_and_virial_are_slopes_and_empty_places_do_not_count(name: str) -> None:
    model, x, h = MODELS[name](SPECIES), places(), 1e-5
    pairs = listed(x, CELL)

    def energy(y: Any, strain: Any) -> Any:
        by = jnp.eye(3) + strain
        return in_cell(model, y @ by, CELL @ by, pairs)

    derivatives = jax.jit(jax.value_and_grad(energy, argnums=(0, 1)))
    value, (slopes, strains) = derivatives(x, np.zeros((3, 3)))
    assert float(value) == pytest.approx(
        float(in_cell(model, x, CELL, listed(x, CELL, 500))), abs=1e-14
    )
    assert np.isfinite(slopes).all()
    np.testing.assert_allclose(np.sum(slopes, axis=0), 0, atol=1e-13)
    np.testing.assert_allclose(strains, np.transpose(strains), atol=1e-12)  # no torque
    for atom, axis in ((0, 0), (4, 2)):
        moved = [x.copy(), x.copy()]
        moved[0][atom, axis] += h
        moved[1][atom, axis] -= h
        up, down = (float(in_cell(model, y, CELL, listed(y, CELL))) for y in moved)
        # h^2/6 of a third derivative of 10 eV/A^3; the envelope is smooth at the cut-off.
        assert float(slopes[atom, axis]) == pytest.approx((up - down) / (2 * h), abs=1e-8)
    for a, b in ((0, 0), (1, 2)):
        ends = []
        for sign in (1, -1):
            by = np.eye(3)
            by[a, b] += sign * h
            ends.append(float(in_cell(model, x @ by, CELL @ by, listed(x @ by, CELL @ by))))
        assert float(strains[a, b]) == pytest.approx((ends[0] - ends[1]) / (2 * h), abs=1e-7)
