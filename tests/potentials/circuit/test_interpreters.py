"""One circuit, three interpreters, and the laws that each of them has to obey."""

import circuits
import numpy as np
import pytest
from circuits import FIXED, RANDOM, difference_forces, jax_interpreter, model, native
from scipy.spatial.transform import Rotation

from qmd.potentials import Architecture, Parameters, evaluate, native_kernel, sivqlm

IN_JAX = (*(name for name in FIXED if name not in ("lih", "dimer")), RANDOM[0])
"""A second of compilation each; `test_vectors` has LiH and the plain dimer."""


# The interpreters agree.


@pytest.mark.parametrize("name", IN_JAX)
def test_jax_and_the_native_kernel_agree(name):
    # Rounding is some 1e-14 of the largest energy: up to 30 terms of size 1 here.
    for positions in (model(name).positions(0), 3 * model(name).positions(1)):
        energy, forces = native(name)(positions)
        expected_energy, expected_forces = jax_interpreter(name)(positions)
        assert abs(energy - expected_energy) < 1e-12
        np.testing.assert_allclose(forces, expected_forces, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", IN_JAX)
@pytest.mark.parametrize("distance", [0.0, 1e-9, 1e-6, 1e-3, 2e-3])
def test_coinciding_atoms_have_finite_forces(name, distance):
    # sin|v|/|v| and its derivatives are series around v = 0, and must join what lies outside.
    positions = 1.0 + distance * model(name).positions(0)
    energy, forces = native(name)(positions)
    expected_energy, expected_forces = jax_interpreter(name)(positions)
    assert np.isfinite(forces).all()
    assert abs(energy - expected_energy) < 1e-12
    np.testing.assert_allclose(forces, expected_forces, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", FIXED + RANDOM)
def test_pennylane_and_the_native_kernel_agree(name):
    positions = model(name).positions(2)
    energy = circuits.pennylane_energy(model(name), positions)
    assert abs(native(name)(positions)[0] - energy) < 1e-12


# PennyLane 0.45's JAX interface; delete when fixed there.
@pytest.mark.filterwarnings("ignore:jax.core.concrete_or_error:DeprecationWarning")
def test_forces_of_pennylane_and_the_native_kernel_agree():
    # By PennyLane's adjoint method: a second, where back-propagation takes five.
    from qmd.potentials import reference

    name = "random-14"  # three qubits, one of them the ancilla
    positions = model(name).positions(3)
    with circuits.relaxed_jax():
        expected_energy, expected_forces = reference.energy_and_forces(
            *model(name), positions, diff_method="adjoint"
        )
    energy, forces = native(name)(positions)
    assert abs(energy - expected_energy) < 1e-12
    np.testing.assert_allclose(forces, expected_forces, rtol=0, atol=1e-10)


def test_layers_multiplied_out_and_gate_by_gate_agree():
    # Concrete couplings become one matrix a layer; those being trained act gate by gate.
    from qmd.potentials import vqc

    name = "chain-5"
    architecture, parameters = model(name)

    def gate_by_gate(parameters, positions):
        return vqc.energy(architecture, parameters, positions)

    positions = model(name).positions(0)
    energy = circuits.quickly_compiled(gate_by_gate, parameters, positions)(parameters, positions)
    assert abs(float(energy) - float(jax_interpreter(name)(positions)[0])) < 1e-12


def test_a_batch_gives_what_its_members_give():
    import jax

    from qmd.potentials import ModelPotential, Quantum

    potential = ModelPotential(Quantum(*model("water-sb")))
    batch = np.array([model("water-sb").positions(seed) for seed in range(4)])
    energies, forces = circuits.quickly_compiled(jax.vmap(potential.energy_and_forces), batch)(
        batch
    )
    for positions, energy, force in zip(batch, energies, forces, strict=True):
        expected_energy, expected_forces = native("water-sb")(positions)
        assert abs(energy - expected_energy) < 1e-12
        np.testing.assert_allclose(force, expected_forces, rtol=0, atol=1e-10)


# The laws.


def test_a_turned_singlet_has_the_closed_form():
    # Without gates the two encodings turn both spins, by 4|v| in all. Of two rotations R and S
    # the singlet keeps <sigma.sigma> = -tr(R^T S) = -(1 + 2 cos), here of v1 - v2 along one axis.
    lih = sivqlm.lih(n_layers=1)
    alpha, weight, offset = 0.4, 1.7, -0.3
    parameters = Parameters(
        np.array([[alpha]]), np.zeros((1, 3)), np.array([weight]), np.array(offset)
    )
    bond = np.array([[0.3, -0.2, 0.5], [1.1, 0.9, -0.4]])
    vector = bond[1] - bond[0]
    r = np.linalg.norm(vector)
    energy, forces = evaluate(native_kernel(lih, parameters), bond)
    assert energy == pytest.approx(offset - weight * (1 + 2 * np.cos(4 * alpha * r)), abs=1e-14)
    slope = 8 * alpha * weight * np.sin(4 * alpha * r)
    np.testing.assert_allclose(forces[1], -slope * vector / r, atol=1e-13)


@pytest.mark.parametrize("name", FIXED + RANDOM)
def test_forces_are_the_central_differences_of_the_energy(name):
    # Reliability A1. Truncation h^2/6 E''' is 1e-9 for the third derivatives of these circuits,
    # rounding 1e-15 / h is 1e-10 for energies of order 1.
    n_geometries = 20 if name in FIXED else 2
    for seed in range(n_geometries):
        positions = model(name).positions(seed)
        expected = difference_forces(native(name), positions)
        np.testing.assert_allclose(native(name)(positions)[1], expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("name", FIXED)
def test_the_error_of_differences_falls_with_the_square_of_the_step(name):
    # Reliability A1b, along the force: a kink or a wrong force would leave a plateau.
    positions = model(name).positions(5)
    forces = native(name)(positions)[1]
    direction = forces / np.linalg.norm(forces)

    def error(h: float) -> float:
        ends = [native(name)(positions + sign * h * direction)[0] for sign in (1, -1)]
        return (ends[0] - ends[1]) / (2 * h) + np.sum(forces * direction)

    assert error(1e-2) / error(1e-3) == pytest.approx(100, abs=2)


@pytest.mark.parametrize("name", FIXED + RANDOM)
def test_translation_changes_nothing(name):
    positions = model(name).positions(0)
    energy, forces = native(name)(positions)
    moved_energy, moved_forces = native(name)(positions + [1000.0, -300.0, 20.0])
    # The vectors lose 1e-16 of 1000 angstrom; the slopes are below 20 eV/angstrom.
    assert abs(moved_energy - energy) < 1e-11
    np.testing.assert_allclose(moved_forces, forces, rtol=0, atol=1e-10)
    assert np.abs(forces.sum(axis=0)).max() < 1e-13


INVARIANT = ("lih", "water", "dimer", "dimer-all")
SWAPS = {
    "lih": [[1, 0]],
    "water": [[0, 2, 1]],
    "dimer": [[0, 2, 1, 3, 4, 5], [0, 1, 2, 3, 5, 4], [3, 4, 5, 0, 1, 2]],
    "dimer-all": [[0, 2, 1, 3, 4, 5], [0, 1, 2, 3, 5, 4], [3, 4, 5, 0, 1, 2]],
}


def rotation(seed: int, axis: np.ndarray | None = None) -> np.ndarray:
    if axis is not None:
        return Rotation.from_rotvec(0.7 * (seed + 1) * axis).as_matrix()
    return Rotation.random(random_state=seed).as_matrix()


def check_equivariance(name: str, matrix: np.ndarray, order: list[int] | None = None) -> None:
    """E(M x) = E(x) and F(M x) = M F(x), with the atoms taken in `order`."""
    positions = model(name).positions(7)
    order = list(range(len(positions))) if order is None else order
    energy, forces = native(name)(positions)
    moved_energy, moved_forces = native(name)((positions @ matrix.T)[order])
    assert abs(moved_energy - energy) < 1e-13
    np.testing.assert_allclose(moved_forces, (forces @ matrix.T)[order], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", INVARIANT)
def test_rotation_turns_the_forces_and_keeps_the_energy(name):
    for seed in range(5):
        check_equivariance(name, rotation(seed))


@pytest.mark.parametrize("name", INVARIANT)
def test_inversion_turns_the_forces_and_keeps_the_energy(name):
    # The dimer has an ancilla for it; two or three atoms lie in a plane and need none.
    check_equivariance(name, -np.eye(3))


@pytest.mark.parametrize(("name", "order"), [(n, order) for n in INVARIANT for order in SWAPS[n]])
def test_like_atoms_and_molecules_are_interchangeable(name, order):
    check_equivariance(name, np.eye(3), order)


@pytest.mark.parametrize("name", INVARIANT)
def test_there_is_no_torque(name):
    for seed in range(5):
        positions = model(name).positions(seed)
        torque = np.cross(positions, native(name)(positions)[1]).sum(axis=0)
        assert np.abs(torque).max() < 1e-13


@pytest.mark.parametrize("name", ["water-sb", "dimer-sb"])
def test_symmetry_breaking_leaves_rotations_about_z_only(name):
    z = np.array([0.0, 0.0, 1.0])
    check_equivariance(name, rotation(1, z))
    positions = model(name).positions(7)
    turned = native(name)(positions @ rotation(1, np.array([1.0, 0.0, 0.0])).T)[0]
    assert abs(turned - native(name)(positions)[0]) > 1e-2


@pytest.mark.parametrize("name", ["water-sb", "dimer-sb"])
def test_symmetry_breaking_by_angle_zero_changes_nothing(name):
    architecture, parameters = model(name)
    parameters = parameters._replace(scales=parameters.scales[:1])
    couplings = np.copy(parameters.couplings)
    couplings[:, -1] = 0
    plain = sivqlm.water(3) if name == "water-sb" else sivqlm.water_dimer(2)
    positions = model(name).positions(0)
    broken = native_kernel(architecture, parameters._replace(couplings=couplings))
    exact = native_kernel(plain, parameters._replace(couplings=couplings[:, :-1]))
    assert abs(evaluate(broken, positions)[0] - evaluate(exact, positions)[0]) < 1e-13


def periods(architecture: Architecture) -> np.ndarray:
    """J repeats after pi/2 up to a phase (eigenvalues 1 and -3); RZ after 2 pi, up to the sign."""
    is_rotation = {g.coupling: hasattr(g, "qubits") for g in architecture.circuit.layer}
    return np.array([2 * np.pi if is_rotation[c] else np.pi / 2 for c in sorted(is_rotation)])


@pytest.mark.parametrize("name", ["lih", "water", "water-sb", "dimer", "dimer-sb"])
def test_couplings_are_periodic(name):
    architecture, parameters = model(name)
    turns = np.random.default_rng(0).integers(-3, 4, parameters.couplings.shape)
    shifted = parameters.couplings + turns * periods(architecture)
    kernel = native_kernel(architecture, parameters._replace(couplings=shifted))
    positions = model(name).positions(0)
    assert abs(evaluate(kernel, positions)[0] - native(name)(positions)[0]) < 1e-13


@pytest.mark.parametrize("name", FIXED)
def test_the_head_is_affine(name):
    architecture, parameters = model(name)
    positions = model(name).positions(0)
    energy, forces = native(name)(positions)
    scaled = parameters._replace(weights=3 * parameters.weights, offset=parameters.offset - 2)
    scaled_energy, scaled_forces = evaluate(native_kernel(architecture, scaled), positions)
    expected = 3 * (energy - parameters.offset) + parameters.offset - 2
    assert abs(scaled_energy - expected) < 1e-12
    np.testing.assert_allclose(scaled_forces, 3 * forces, rtol=0, atol=1e-12)
