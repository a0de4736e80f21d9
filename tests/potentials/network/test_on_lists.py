"""Native networks in cells, on neighbour lists: JAX, symmetries, images, differences, and bits."""

import gc
import os
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from qmd.integrators import Force, evaluate, evaluate_virial
from qmd.potentials import Committee, OnAtoms, Scaled, Sum, TruncatedLennardJones
from qmd.potentials.models import atom_centred
from qmd.potentials.network import native
from qmd.potentials.network.perceptron import centred
from qmd.potentials.tree.native import native_model
from qmd.potentials.tree.potential import ModelPotential, compiled, compiled_in_cell

jax.config.update("jax_enable_x64", True)
SPECIES = ("O", "H", "H", "O", "H", "H")
CELL = np.array([[4.1, 0.0, 0.0], [0.7, 3.9, 0.0], [-0.5, 0.6, 4.3]])
CUTOFF = 3.6  # more than half of the cell: several images of each atom, and of an atom itself


def network(species: tuple[str, ...], **settings: Any) -> Any:
    size = {"n_qubits": 4, "n_layers": 2, "n_radial": 5, "cutoff": CUTOFF}
    return atom_centred.revised(species, 1, **(size | settings))


def perceptron(species: tuple[str, ...], n_tensors: int = 2) -> Any:
    size = {"n_vectors": 3, "n_scalars": 2, "n_hidden": 4, "n_tensors": n_tensors}
    return centred(species, 1, **size, n_radial=5, cutoff=CUTOFF)


MODELS: dict[str, Callable[..., Any]] = {
    "rank one": network,
    "rank two": lambda species: network(species, rank=2),
    "no scalars": lambda species: network(species, scalars=False),
    "perceptron": perceptron,
    "perceptron of rank one": lambda species: perceptron(species, 0),
}


def places(seed: int = 3, n: int = 6) -> np.ndarray:
    rng = np.random.default_rng(seed)
    fractions = rng.uniform(size=(n, 3)) + rng.integers(-2, 3, size=(n, 3))  # not wrapped
    return np.asarray(fractions @ CELL)


@pytest.fixture(scope="module", params=MODELS)
def model(request: Any) -> Any:
    return MODELS[request.param](SPECIES)


@pytest.fixture(scope="module")
def force(model: Any) -> Force:
    return native_model(model)


@pytest.mark.parametrize("periodic", [(1, 1, 1), (1, 0, 1), (0, 0, 1)])
def test_the_native_kernel_is_jax(model, force, periodic):
    x, cell = places(), CELL * np.array(periodic)[:, None]
    energy, forces, virial = evaluate_virial(force, x, cell)
    by_jax, slopes, strained = compiled_in_cell(model)(x, cell)
    assert energy == pytest.approx(by_jax, rel=1e-12, abs=1e-13)
    np.testing.assert_allclose(forces, slopes, rtol=0, atol=1e-12 * max(1, np.abs(slopes).max()))
    np.testing.assert_allclose(
        virial, strained, rtol=0, atol=1e-12 * max(1, np.abs(strained).max())
    )
    assert np.abs(slopes).max() > 1e-4  # there is a surrounding


def test_many_gaussians_and_elements():
    """60 Gaussians are not reached from the first one; a padded row and a lane remain."""
    species = ("C", "O", "H", "H", "N")
    wide = network(species, n_radial=61, rank=2)
    x = places(4, 5)
    energy, forces, virial = evaluate_virial(native_model(wide), x, CELL)
    by_jax, slopes, strained = compiled_in_cell(wide)(x, CELL)
    assert energy == pytest.approx(by_jax, rel=1e-12)
    for found, expected in ((forces, slopes), (virial, strained)):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * np.abs(expected).max())


def test_isolated_atoms_have_the_energy_and_the_bits_of_their_kernel(monkeypatch):
    """Few isolated atoms keep the kernel of all pairs; many are those of JAX too."""
    few = network(SPECIES, rank=2)
    x = np.random.default_rng(4).uniform(0, 4, size=(6, 3))
    plain = Force(native.layout.energy_and_forces(), *native.arrays(few))
    energy, forces = evaluate(plain, x)
    again, same = evaluate(native_model(few), x)
    assert again == energy
    assert np.array_equal(same, forces)
    monkeypatch.setattr(native, "MAX_DENSE", 5)
    by_list, listed = evaluate(native_model(few), x)
    assert by_list == pytest.approx(energy, rel=1e-12)
    np.testing.assert_allclose(listed, forces, rtol=0, atol=1e-12 * np.abs(forces).max())


def test_isolated_perceptrons_are_those_of_jax():
    x = np.random.default_rng(4).uniform(0, 4, size=(6, 3))
    made = perceptron(SPECIES)
    energy, forces = evaluate(native_model(made), x)
    by_jax, slopes = compiled(ModelPotential(made))(x)
    assert energy == pytest.approx(float(by_jax), rel=1e-12)
    np.testing.assert_allclose(forces, slopes, rtol=0, atol=1e-13)


def test_eight_cells_have_eight_times_the_energy(model, force):
    x = places()
    energy, forces, virial = evaluate_virial(force, x, CELL)
    corners = np.array([(i, j, k) for i in range(2) for j in range(2) for k in range(2)]) @ CELL
    whole = native_model(replace(model, kinds=model.kinds * 8))
    eight, all_forces, strained = evaluate_virial(
        whole, np.concatenate([x + corner for corner in corners]), 2 * CELL
    )
    assert eight == pytest.approx(8 * energy, rel=1e-12)
    bound = 1e-12 * max(1, np.abs(forces).max())
    np.testing.assert_allclose(all_forces.reshape(8, 6, 3), [forces] * 8, rtol=0, atol=bound)
    np.testing.assert_allclose(strained, 8 * virial, rtol=0, atol=8e-12)


@pytest.mark.parametrize("mirror", [1.0, -1.0])
def test_rotation_inversion_translation_and_exchange(force, mirror):
    x = places()
    energy, forces, virial = evaluate_virial(force, x, CELL)
    r = mirror * Rotation.random(random_state=3).as_matrix()
    order = [3, 2, 1, 0, 4, 5]  # like atoms only
    moved = x[order] @ r.T + [1.0, -2.0, 0.5]
    again, turned, strained = evaluate_virial(force, moved, CELL @ r.T)
    # Some thousand roundings of energies below 10 eV, and of pulls below 10 eV/angstrom.
    assert again == pytest.approx(energy, abs=1e-12)
    np.testing.assert_allclose(turned, forces[order] @ r.T, rtol=0, atol=1e-11)
    np.testing.assert_allclose(strained, r @ virial @ r.T, rtol=0, atol=1e-11)
    assert np.abs(virial - virial.T).max() < 1e-11  # no torque
    assert np.abs(forces.sum(axis=0)).max() < 1e-12


def test_whichever_image_an_atom_is_in(force):
    x = places()
    energy, forces = evaluate(force, x, CELL)
    moved = x + np.random.default_rng(1).integers(-2, 3, x.shape) @ CELL
    again, same = evaluate(force, moved, CELL)
    assert again == pytest.approx(energy, abs=1e-12)
    np.testing.assert_allclose(same, forces, rtol=0, atol=1e-11)


def test_a_neighbour_leaves_smoothly(model):
    """A hydrogen leaves along the line of a bond: its density ends as d^3, so does the energy."""
    water = native_model(replace(model, kinds=(1, 0, 0)))
    cell = np.diag([9.0, 9.0, 9.0])
    start = np.array([[8.5, 1.0, 1.0], [7.54, 1.0, 1.0], [8.5, 1.0, 1.0]])
    # 0.1 beyond the cut-off, at it, 0.01 and 0.02 before it: across the face of the cell.
    far = [start + [[0, 0, 0], [0, 0, 0], [CUTOFF - d - 9.0, 0, 0]] for d in (-0.1, 0, 0.01, 0.02)]
    beyond, end, *inside = (evaluate(water, x, cell)[0] for x in far)
    near, further = np.array(inside) - beyond
    assert end == pytest.approx(beyond, abs=1e-15)  # the envelope at the end is rounding
    assert np.log2(further / near) == pytest.approx(3, abs=0.3)


def test_forces_and_virial_are_differences(force):
    x = places()
    _, forces, virial = evaluate_virial(force, x, CELL)
    for atom, axis in ((0, 0), (4, 2)):
        move = np.zeros((6, 3))
        move[atom, axis] = 1.0
        slope = -_difference(lambda h, move=move: evaluate(force, x + h * move, CELL)[0])
        assert forces[atom, axis] == pytest.approx(slope, abs=1e-7 * np.abs(forces).max() + 1e-11)
    for a, b in np.ndindex(3, 3):
        strain = np.zeros((3, 3))
        strain[a, b] = 1.0

        def strained(h: float, strain: np.ndarray = strain) -> float:
            by = np.eye(3) + h * strain
            return evaluate(force, x @ by, CELL @ by)[0]

        assert virial[a, b] == pytest.approx(
            -_difference(strained), abs=1e-7 * np.abs(virial).max() + 1e-11
        )


def _difference(function: Callable[[float], float], h: float = 1e-3) -> float:
    """Derivative at 0, with an error of order h^6."""
    weights = ((1, 45.0), (2, -9.0), (3, 1.0))
    return sum(c * (function(k * h) - function(-k * h)) for k, c in weights) / (60 * h)


def test_bits_do_not_depend_on_the_history_of_the_list(force):
    """As a run that is resumed: another list, built elsewhere, and the same positions."""
    x = places()
    rng = np.random.default_rng(5)
    for _ in range(4):
        x = x + rng.uniform(-0.03, 0.03, x.shape)
        energy, forces, virial = evaluate_virial(force, x, CELL)
    fresh = force.for_thread()
    again, same, strained = evaluate_virial(fresh, x, CELL)
    assert again == energy
    assert np.array_equal(same, forces)
    assert np.array_equal(strained, virial)


def test_sums_committees_and_parts_in_cells():
    one, two = network(SPECIES, rank=2), perceptron(SPECIES)
    pairs = TruncatedLennardJones(2, 0.01, 2.0, 3.0)
    model = Sum((Committee((one, Scaled(two, 0.5))), OnAtoms(pairs, (0, 3))))
    x = places()
    energy, forces, virial = evaluate_virial(native_model(model), x, CELL)
    by_jax, slopes, strained = compiled_in_cell(model)(x, CELL)
    assert energy == pytest.approx(by_jax, rel=1e-12)
    np.testing.assert_allclose(forces, slopes, rtol=0, atol=1e-12 * np.abs(slopes).max())
    np.testing.assert_allclose(virial, strained, rtol=0, atol=1e-12 * np.abs(strained).max())


def test_many_isolated_atoms_and_little_memory():
    """A cube of atoms has corners, edges, faces and an inside, whose energies small cubes tell."""
    made, n = network(("O",), n_qubits=2, n_layers=1, n_radial=4, cutoff=1.2), 27

    def cube(m: int) -> tuple[Force, float, np.ndarray]:
        force = native_model(replace(made, kinds=(0,) * m**3))
        return force, *evaluate(force, np.array(list(np.ndindex(m, m, m)), float))

    counts = {m: (8, 12 * (m - 2), 6 * (m - 2) ** 2, (m - 2) ** 3) for m in (2, 3, 4, 5, n)}
    small = [counts[m] for m in (2, 3, 4, 5)]
    each = np.linalg.solve(np.array(small, float), [cube(m)[1] for m in (2, 3, 4, 5)])
    force, energy, forces = cube(n)
    assert np.ptp(each) > 1e-6
    # 20,000 terms below 1 eV, each with some hundred roundings.
    assert energy == pytest.approx(each @ counts[n], rel=1e-10)
    assert np.abs(forces.sum(axis=0)).max() < 1e-11
    held: list[Any] = [one for _, one in force.lists]
    n_bytes = sum(one.n_bytes for one in held) + force.workspace.nbytes
    assert n_bytes / n**3 < 2000


@pytest.mark.parametrize("name", ["rank two", "perceptron"])
@pytest.mark.parametrize("threads", [2, 3, 9])
def test_threads_change_no_bit(name, threads):
    """Also of calls in a row, where helpers look for work, and after a pause, where they sleep."""
    species, x = ("O", "H", "H") * 7, places(6, 21)
    made = MODELS[name](species)
    alone, shared = native_model(made), native_model(made, threads=threads)
    for call in range(60):
        if call % 20 == 10:
            time.sleep(0.01)
        wanted = evaluate_virial(alone, x + 0.01 * call, CELL)
        found = evaluate_virial(shared, x + 0.01 * call, CELL)
        assert all(np.array_equal(*both) for both in zip(found, wanted, strict=True))


def test_a_tree_shares_the_work_of_its_networks():
    made = Scaled(network(SPECIES, rank=2), 0.5)
    shared, before = native_model(made, threads=2), threading.active_count()
    found, wanted = (evaluate_virial(one, places(), CELL) for one in (shared, native_model(made)))
    assert threading.active_count() == before + 1
    assert all(np.array_equal(*both) for both in zip(found, wanted, strict=True))


def test_helpers_end_with_their_force():
    before = threading.active_count()
    shared = native_model(network(SPECIES), threads=4)
    evaluate(shared, places(), CELL)
    assert threading.active_count() == before + 3
    del shared
    gc.collect()
    assert threading.active_count() == before


def test_a_fork_goes_on_without_the_helpers():
    """Only the thread that forks lives in the child; the work is done by it alone."""
    shared = native_model(network(SPECIES, rank=2), threads=3)
    wanted = evaluate(shared, places(), CELL)[0]
    with warnings.catch_warnings():  # JAX, where an earlier test has started it, warns of forks
        warnings.simplefilter("ignore", RuntimeWarning)
        child = os.fork()
    if child == 0:
        try:
            os._exit(0 if evaluate(shared, places(), CELL)[0] == wanted else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert evaluate(shared, places(), CELL)[0] == wanted
