"""The native kernel as the loops call it: no allocation, no memory of earlier calls."""

import dataclasses
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest
from circuits import FIXED, Model, model, random_parameters
from numba.core.runtime import _nrt_python, rtsys  # type: ignore[attr-defined]

from qmd.integrators import Force, compute, evaluate_virial, pointer
from qmd.potentials import (
    Architecture,
    Circuit,
    Encode,
    Heisenberg,
    LinearVectors,
    Observable,
    evaluate,
    native_kernel,
    sivqlm,
)
from qmd.potentials.circuit import two_pairs_kernel
from qmd.potentials.circuit.layout import VECTORS
from qmd.potentials.circuit.lowering import MAGIC, TURN, lower


@pytest.fixture(scope="module")
def repeat():
    """Call a kernel n times without the interpreter lock; the last energy."""

    @numba.njit(nogil=True)
    def loop(force, positions, cell, forces, n):
        energy = 0.0
        for _ in range(n):
            energy = compute(force, positions, cell, forces)
        return energy

    return loop


def spins(n_spins: int, *gates: Heisenberg, n_layers: int = 1) -> Model:
    """A circuit of `gates` on `n_spins` spins, all encoded with one bond vector."""
    circuit = Circuit(
        n_qubits=n_spins,
        n_layers=n_layers,
        singlets=(),
        encoding=tuple(Encode(0, q) for q in range(n_spins)),
        layer=gates,
        observables=(Observable(((0, 1),)),),
    )
    architecture = Architecture(LinearVectors(((1.0, -1.0),), (0,)), circuit)
    return Model(architecture, random_parameters(architecture, 0))


# The contract with the integrators.


@pytest.mark.parametrize("n_atoms", [1, 2, 4, 100])
def test_another_number_of_atoms_gives_nan_and_touches_nothing_else(n_atoms):
    force, forces = pointer(native_kernel(*model("water"))), np.zeros((n_atoms, 3))
    energy = compute(force, np.ones((n_atoms, 3)), np.zeros((3, 3)), forces)
    assert np.isnan(energy) and np.isnan(forces).all()


def test_a_cell_and_a_virial_are_refused_not_left_out():
    force, positions = native_kernel(*model("water")), model("water").positions(0)
    with pytest.raises(ValueError, match="has a cell, but its force is for isolated systems"):
        evaluate(force, positions, 9 * np.eye(3))
    with pytest.raises(ValueError, match="has no virial"):
        evaluate_virial(force, positions, np.zeros((3, 3)))


@pytest.mark.parametrize("shape", [(3,), (9,), (2, 3), (4, 3), (3, 2), (1, 3, 3)])
def test_positions_of_a_wrong_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"must have shape \(3, 3\), but have"):
        evaluate(native_kernel(*model("water")), np.zeros(shape))


def test_any_array_of_positions_is_taken_and_left_alone():
    kernel = native_kernel(*model("water"))
    positions = np.asfortranarray(np.arange(9).reshape(3, 3) % 4)
    positions.flags.writeable = False
    energy, forces = evaluate(kernel, positions)
    again, same = evaluate(kernel, np.ascontiguousarray(positions, np.float64))
    assert energy == again
    np.testing.assert_array_equal(forces, same)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_positions_that_are_not_finite_give_an_energy_that_is_not(value):
    # The loops stop on it; a kernel that swallowed it would go on with nonsense.
    kernel = native_kernel(*model("dimer-all"))
    positions = model("dimer-all").positions(0)
    expected = evaluate(kernel, positions)[0]
    spoilt = positions.copy()
    spoilt[4, 1] = value
    assert np.isnan(evaluate(kernel, spoilt)[0])
    assert evaluate(kernel, positions)[0] == expected  # the next call does not know of it


# Nothing is allocated, nothing is remembered.


@pytest.mark.parametrize("name", ["water-sb", "dimer-all"])
def test_calls_allocate_nothing(name, repeat):
    kernel = native_kernel(*model(name))
    positions = model(name).positions(0)
    forces = np.empty_like(positions)
    arguments = (pointer(kernel), positions, np.zeros((3, 3)), forces)
    repeat(*arguments, 1)  # compile
    counts = []
    was_enabled = _nrt_python.memsys_stats_enabled()
    _nrt_python.memsys_enable_stats()
    try:
        for n in (1, 1000):
            before = rtsys.get_allocation_stats()
            repeat(*arguments, n)
            after = rtsys.get_allocation_stats()
            counts.append((after.alloc - before.alloc, after.mi_alloc - before.mi_alloc))
    finally:
        if not was_enabled:
            _nrt_python.memsys_disable_stats()
    assert counts[0] == counts[1]


def scratch_of(kernel: Force) -> int:
    """Where the scratch begins in the workspace."""
    if kernel.function is two_pairs_kernel.energy_and_forces():
        return int(kernel.program[two_pairs_kernel.STATES])
    return int(kernel.program[VECTORS])


@pytest.mark.parametrize("name", FIXED)
def test_the_result_does_not_depend_on_what_the_scratch_held(name):
    kernel = native_kernel(*model(name))
    positions = model(name).positions(0)
    energy, forces = evaluate(kernel, positions)
    scratch = kernel.workspace[scratch_of(kernel) :]
    for rubbish in (np.nan, 1e300, 0.0):
        scratch[:] = rubbish
        again, same = evaluate(kernel, positions)
        assert again == energy
        np.testing.assert_array_equal(same, forces)


@pytest.mark.parametrize("name", FIXED)
def test_calls_leave_the_constants_alone(name):
    kernel = native_kernel(*model(name))
    program, workspace = kernel.program.copy(), kernel.workspace.copy()
    evaluate(kernel, model(name).positions(0))
    constants = slice(scratch_of(kernel))
    np.testing.assert_array_equal(kernel.program, program)
    np.testing.assert_array_equal(kernel.workspace[constants], workspace[constants])


def test_two_copies_run_in_two_threads(repeat):
    kernel = native_kernel(*model("dimer-sb"))
    geometries = [model("dimer-sb").positions(seed) for seed in range(2)]
    expected = [evaluate(kernel, positions) for positions in geometries]
    copies = [kernel._replace(workspace=kernel.workspace.copy()) for _ in geometries]

    def run(copy: Force, positions: np.ndarray) -> tuple[float, np.ndarray]:
        forces = np.empty_like(positions)
        energy = repeat(pointer(copy), positions, np.zeros((3, 3)), forces, 2000)
        return energy, forces

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(run, copies, geometries))
    for (energy, forces), (expected_energy, expected_forces) in zip(results, expected, strict=True):
        assert energy == expected_energy
        np.testing.assert_array_equal(forces, expected_forces)


# What can be lowered.


def test_the_magic_basis_makes_products_of_rotations_real():
    np.testing.assert_allclose(MAGIC.conj().T @ MAGIC, np.eye(4), atol=1e-15)
    rng = np.random.default_rng(0)
    for _ in range(5):
        unitaries, _ = np.linalg.qr(rng.normal(size=(2, 2, 2)) + 1j * rng.normal(size=(2, 2, 2)))
        one, two = (u / np.sqrt(np.linalg.det(u)) for u in unitaries)  # SU(2)
        turned = MAGIC.conj().T @ np.kron(one, two) @ MAGIC
        np.testing.assert_allclose(turned.imag, 0, atol=1e-14)


def test_gates_of_a_layer_are_fused():
    # Six Heisenberg gates become one graded operation, RZ on four spins one turn of each pair.
    program = lower(*model("water-sb"))
    assert [operation.kind for operation in program.operations] == [0, TURN, TURN]


@pytest.mark.parametrize("partner", range(1, 6))
def test_spins_are_paired_so_that_every_gate_fits(partner):
    # The star around spin 0 and its two neighbours fits only if two of the three are a pair.
    others = [q for q in range(1, 6) if q != partner]
    star = Heisenberg(0, ((0, partner), (0, others[0])))
    square = Heisenberg(1, tuple((p, q) for p in others[:2] for q in others[2:]))
    native_kernel(*spins(6, star, square))


@pytest.mark.parametrize(
    "pairs",
    [
        tuple((0, q) for q in range(1, 6)),
        tuple((q, q + 1) for q in range(5)),
        ((0, 1), (1, 2), (2, 3), (3, 4)),
    ],
    ids=["star", "chain", "five"],
)
def test_gates_that_join_too_many_spins_are_refused(pairs):
    unfit = spins(6, Heisenberg(0, pairs))
    with pytest.raises(ValueError, match="needs overlapping pairs .* within two pairs") as caught:
        native_kernel(*unfit)
    assert str(caught.value).endswith("Use the JAX backend.")
    assert "\n" not in str(caught.value)


def test_the_same_pairs_in_gates_of_their_own_are_taken():
    gates = (Heisenberg(0, ((0, q),)) for q in range(1, 6))
    native_kernel(*spins(6, *gates))


def test_a_circuit_that_needs_too_much_memory_is_refused_before_it_is_taken():
    rung = [Heisenberg(0, ((q, q + 2),)) for q in range(0, 14, 2)]
    large = spins(16, *rung, n_layers=100)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"would need \d+\.\d GiB .* Use the JAX backend"):
            native_kernel(*large)
        assert tracemalloc.get_traced_memory()[1] < 2**26
    finally:
        tracemalloc.stop()


def test_parameters_that_do_not_fit_are_refused():
    architecture, parameters = model("water")
    with pytest.raises(ValueError, match="'couplings' must be"):
        native_kernel(architecture, parameters._replace(couplings=np.zeros((1, 6))))


def test_more_layers_of_nothing_change_nothing():
    # A layer without coupling between two encodings of zero scale.
    water = sivqlm.water(2)
    parameters = random_parameters(water, 0, per_layer=True)
    positions = model("water").positions(0)
    expected = evaluate(native_kernel(water, parameters), positions)
    longer = dataclasses.replace(water, circuit=dataclasses.replace(water.circuit, n_layers=3))
    padded = parameters._replace(
        scales=np.insert(parameters.scales, 1, 0.0, axis=0),
        couplings=np.insert(parameters.couplings, 0, 0.0, axis=0),
    )
    energy, forces = evaluate(native_kernel(longer, padded), positions)
    assert abs(energy - expected[0]) < 1e-14
    np.testing.assert_allclose(forces, expected[1], rtol=0, atol=1e-14)


def test_the_native_path_imports_neither_jax_nor_pennylane():
    code = (
        "import qmd.potentials, qmd.potentials.circuit.native, qmd.potentials.package.files;"
        "heavy = {'jax', 'jaxlib', 'jaxtyping', 'equinox', 'pennylane', 'ase'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}; {code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == "[]"
