"""Cells and virials: what a force says of them is right, and what it does not say is refused."""

import math

import numpy as np
import pytest

from qmd.integrators import (
    FORCE_SIGNATURE,
    Force,
    Status,
    Stream,
    VelocityVerlet,
    cfunc,
    compute,
    evaluate,
    evaluate_all,
    evaluate_virial,
    initial_state,
    pointer,
    python_force,
    unlimited,
)

CELL = np.array([[4.0, 0.0, 0.0], [0.7, 3.5, 0.0], [-0.4, 0.3, 5.0]])
POSITIONS = np.array([[0.1, 0.2, 0.3], [3.6, 0.4, 0.2], [1.0, 1.5, 4.6], [2.5, 0.4, 2.0]])


@pytest.fixture(scope="module")
def crystal() -> Force:
    """Each pair of neighbouring images: ``exp(-r)``, summed over the 27 cells around an atom."""

    @cfunc(FORCE_SIGNATURE)
    def function(positions, cell, forces_out, virial_out, program, workspace):
        n, energy, d = positions.shape[0], 0.0, np.empty(3)
        forces_out[:, :] = 0.0
        virial_out[:, :] = 0.0
        for i in range(n):
            for j in range(n):
                for image in range(27):
                    a, b, c = image % 3 - 1, image // 3 % 3 - 1, image // 9 - 1
                    if i == j and image == 13:
                        continue
                    for k in range(3):
                        d[k] = (
                            positions[j, k] - positions[i, k]
                            + a * cell[0, k] + b * cell[1, k] + c * cell[2, k]
                        )  # fmt: skip
                    r = math.sqrt(d[0] ** 2 + d[1] ** 2 + d[2] ** 2)
                    energy += 0.5 * math.exp(-r)
                    for k in range(3):
                        forces_out[i, k] -= math.exp(-r) * d[k] / r
                        for m in range(virial_out.shape[0]):
                            virial_out[m, k] += 0.5 * math.exp(-r) * d[m] * d[k] / r
        return energy

    return Force(function, np.zeros(1, np.int64), np.zeros(0), periodic=True)


def test_the_virial_is_the_negative_derivative_by_a_strain(crystal: Force) -> None:
    energy, forces, virial = evaluate_virial(crystal, POSITIONS, CELL)
    assert (energy, *forces.ravel()) == (
        evaluate(crystal, POSITIONS, CELL)[0], *evaluate(crystal, POSITIONS, CELL)[1].ravel()
    )  # fmt: skip
    h = 1e-4
    for i in range(3):
        for k in range(3):
            strained = []
            for sign in (1, -1):
                strain = np.eye(3)
                strain[i, k] += sign * h
                strained.append(evaluate(crystal, POSITIONS @ strain, CELL @ strain)[0])
            slope = (strained[0] - strained[1]) / (2 * h)
            # h^2/6 of a third derivative: a sum of some 400 terms, each below 10 eV.
            assert slope == pytest.approx(-virial[i, k], abs=1e-5)


def test_the_cell_reaches_the_force(crystal: Force) -> None:
    energy, forces = evaluate(crystal, POSITIONS, CELL)
    # The 27 cells are the same in any order of the lattice vectors; only the sums are not.
    other, same = evaluate(crystal, POSITIONS, CELL[[1, 2, 0]])
    assert other == pytest.approx(energy, rel=1e-14)
    np.testing.assert_allclose(same, forces, rtol=0, atol=1e-14)
    # In a cell of 1000 angstrom no image is left: exp(-990) is 0 beside the pairs.
    i, j = np.triu_indices(4, 1)
    pairs = np.exp(-np.linalg.norm(POSITIONS[i] - POSITIONS[j], axis=1)).sum()
    assert evaluate(crystal, POSITIONS, 1000 * np.eye(3))[0] == pytest.approx(pairs, rel=1e-14)
    assert energy > 2 * pairs
    with pytest.raises(ValueError, match=r"`cell` must have shape \(3, 3\)"):
        evaluate(crystal, POSITIONS, np.eye(2))


def test_a_state_keeps_its_cell(crystal: Force) -> None:
    start = initial_state(crystal, POSITIONS, np.zeros_like(POSITIONS), CELL)
    args = crystal, np.ones(4), Stream(0), unlimited(), 3
    end = VelocityVerlet(0.05).advance(start, *args)
    assert end.status == Status.OK
    np.testing.assert_array_equal(end.state.cell, CELL)
    energy, forces = evaluate(crystal, end.state.positions, CELL)
    assert energy == end.state.energy
    np.testing.assert_array_equal(forces, end.state.forces)


def test_a_cell_is_refused_by_a_force_that_does_not_read_it(harmonic: Force) -> None:
    message = "has a cell, but its force is for isolated systems"
    for force in (harmonic, python_force(lambda x: (0.0, -x))):
        with pytest.raises(ValueError, match=message):
            evaluate(force, POSITIONS, CELL)
        start = initial_state(force, POSITIONS, POSITIONS)._replace(cell=CELL)
        with pytest.raises(ValueError, match=message):
            VelocityVerlet(0.05).advance(start, force, np.ones(4), Stream(0), unlimited(), 1)


def test_a_virial_that_a_force_lacks_is_refused_and_never_zero(harmonic: Force) -> None:
    for force in (harmonic, python_force(lambda x: (0.0, -x))):
        with pytest.raises(ValueError, match="has no virial"):
            evaluate_virial(force, POSITIONS, np.zeros((3, 3)))


@pytest.mark.parametrize("n_atoms", [3, 5])
def test_a_force_is_for_the_atoms_that_its_program_counts(harmonic: Force, n_atoms: int) -> None:
    force = harmonic._replace(program=np.array([n_atoms]))
    for call in (evaluate, lambda f, x: evaluate_all(f, x[None])):
        with pytest.raises(ValueError, match=rf"must have shape \({n_atoms}, 3\), but have"):
            call(force, POSITIONS)
    start = initial_state(harmonic, POSITIONS, POSITIONS)
    with pytest.raises(ValueError, match=rf"must have shape \({n_atoms}, 3\)"):
        VelocityVerlet(0.05).advance(start, force, np.ones(4), Stream(0), unlimited(), 1)
    with pytest.raises(TypeError, match="must begin with the number of atoms"):
        pointer(harmonic._replace(program=np.zeros(0, np.int64)))


def test_many_geometries_are_evaluated_as_one_by_one(harmonic: Force) -> None:
    many = np.stack([POSITIONS, 2 * POSITIONS])
    energies, forces = evaluate_all(harmonic, many)
    for k, x in enumerate(many):
        energy, alone = evaluate(harmonic, x)
        assert energies[k] == energy
        np.testing.assert_array_equal(forces[k], alone)
    with pytest.raises(ValueError, match=r"shape \(n, n_atoms, 3\)"):
        evaluate_all(harmonic, POSITIONS)


def test_compute_asks_for_no_virial(crystal: Force) -> None:
    forces = np.empty_like(POSITIONS)
    energy = compute(pointer(crystal), POSITIONS, CELL, forces)
    assert energy == evaluate_virial(crystal, POSITIONS, CELL)[0]
