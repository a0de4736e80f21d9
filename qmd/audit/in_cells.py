"""Audit of a potential in the cells of its test vectors."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from qmd.audit.findings import Finding, Verdict, finding_within, random_rotations
from qmd.potentials import Package
from qmd.typing import Array

STEP = 1e-3
"""Step of the differences: angstrom along a displacement, or a strain."""
DIFFERENCE_LIMIT = 1e-7
"""Relative to the largest force or element of the virial, or in eV/angstrom and eV: as for
isolated molecules, see `agreement`."""
SPREAD_A = 0.02
"""Standard deviation of random shifts of the atoms: bonds of a liquid stay within their range."""
N_DIRECTIONS = 3

Geometry = tuple[Array, Array]
"""Positions (n_atoms, 3) and cell (3, 3), angstrom."""


class Answer(NamedTuple):
    """Energy (eV), forces (eV/angstrom) and virial (eV) of a geometry."""

    energy: float
    forces: Array
    virial: Array


Function = Callable[[Array, Array], Answer]


def audit_in_cells(package: Package, n_geometries: int, seed: int) -> list[Finding]:
    """Check energy, forces and virial in cells: interpreters, symmetries, images, differences.

    Parameters
    ----------
    package : Package
        With cells of its test vectors.
    n_geometries : int
        Number of random distortions of the test vectors beside them.
    seed : int
        Seed of distortions, directions and rotations.
    """
    rng = np.random.default_rng(seed)
    geometries = _geometries(package, n_geometries, rng)
    by_jax, native = _jax(package), _native(package)
    function = native or by_jax
    answers = [function(*geometry) for geometry in geometries]
    size = max(1.0, *(float(np.abs(part).max()) for a in answers for part in a))
    found = _agreement(geometries, answers, by_jax if native else None, size)
    for name, moved in (("translation", _translated), ("rotation", _rotated),
                        ("other images of atoms", _other_images), ("exchange", None)):  # fmt: skip
        pairs = [
            _exchanged(package, geometry, rng) if moved is None else moved(geometry, rng)
            for geometry in geometries
        ]
        found += _symmetry(name, function, pairs, answers, size)
    found += _differences(function, geometries[0], answers[0], rng)
    return found


def _geometries(package: Package, n: int, rng: np.random.Generator) -> list[Geometry]:
    assert package.test_cells is not None
    vectors = list(zip(package.test_positions, package.test_cells, strict=True))
    for k in rng.integers(len(vectors), size=n):
        x, cell = vectors[int(k)]
        vectors.append((x + SPREAD_A * rng.standard_normal(x.shape), cell))
    return vectors


def _jax(package: Package) -> Function:
    import jax

    from qmd.potentials import compiled_in_cell

    jax.config.update("jax_enable_x64", True)
    function = compiled_in_cell(package.model)
    return lambda positions, cell: Answer(*function(positions, cell))


def _native(package: Package) -> Function | None:
    """Return the native kernel, or None where there is none for cells."""
    from qmd.integrators import evaluate_virial

    try:
        kernel = package.native()
    except ValueError:
        return None
    if not kernel.periodic:
        return None
    return lambda positions, cell: Answer(*evaluate_virial(kernel, positions, cell))


def _agreement(
    geometries: list[Geometry], answers: list[Answer], by_jax: Function | None, size: float
) -> list[Finding]:
    name = "native against JAX"
    if by_jax is None:
        remark = "no native kernel for cells"
        return [Finding(name, None, None, "", Verdict.SKIPPED, remark)]
    others = [by_jax(*geometry) for geometry in geometries]
    return _compared(name, answers, others, size, f"{len(geometries)} geometries")


def _compared(
    name: str, found: list[Answer], expected: list[Answer], size: float, remark: str = ""
) -> list[Finding]:
    """Return findings of energies, forces and virials; roundings as for isolated molecules."""
    errors = [
        max(
            float(np.abs(np.asarray(a[part]) - np.asarray(b[part])).max())
            for a, b in zip(found, expected, strict=True)
        )
        for part in range(3)
    ]
    # an energy of n atoms sums as many terms, a virial as many as there are pairs
    limits = (1e-12 * size, 1e-10 * size, 1e-10 * size)
    parts = (("energy", "eV"), ("forces", "eV/A"), ("virial", "eV"))
    return [
        finding_within(f"{name}: {part}", error, limit, unit, remark)
        for (part, unit), error, limit in zip(parts, errors, limits, strict=True)
    ]


class _Moved(NamedTuple):
    """A geometry that is equivalent, and how an answer changes."""

    geometry: Geometry
    rotation: Array
    order: list[int] | slice


def _translated(geometry: Geometry, rng: np.random.Generator) -> _Moved:
    x, cell = geometry
    return _Moved((x + rng.uniform(-10, 10, 3), cell), np.eye(3), slice(None))


def _rotated(geometry: Geometry, rng: np.random.Generator) -> _Moved:
    x, cell = geometry
    turn = random_rotations(rng, 1)[0]
    return _Moved((x @ turn.T, cell @ turn.T), turn, slice(None))


def _other_images(geometry: Geometry, rng: np.random.Generator) -> _Moved:
    x, cell = geometry
    return _Moved((x + rng.integers(-2, 3, x.shape) @ cell, cell), np.eye(3), slice(None))


def _exchanged(package: Package, geometry: Geometry, rng: np.random.Generator) -> _Moved:
    """Exchange atoms of the same element at random."""
    x, cell = geometry
    symbols, order = np.array(package.species), np.arange(len(x))
    for symbol in sorted(set(package.species)):
        own = np.flatnonzero(symbols == symbol)
        order[own] = rng.permutation(own)
    return _Moved((x[order], cell), np.eye(3), order.tolist())


def _symmetry(
    name: str, function: Function, moved: list[_Moved], answers: list[Answer], size: float
) -> list[Finding]:
    expected = [
        Answer(a.energy, a.forces[m.order] @ m.rotation.T, m.rotation @ a.virial @ m.rotation.T)
        for a, m in zip(answers, moved, strict=True)
    ]
    # a turned or shifted position is rounded to 1e-15 of 10 A: forces times that, for each atom
    return _compared(name, [function(*m.geometry) for m in moved], expected, 10 * size)


def _differences(
    function: Function, geometry: Geometry, answer: Answer, rng: np.random.Generator
) -> list[Finding]:
    """Compare forces along random directions, and the virial, with differences of the energy."""
    x, cell = geometry
    errors = []
    for _ in range(N_DIRECTIONS):
        along = rng.standard_normal(x.shape)
        along /= np.abs(along).max()

        def moved(h: float, along: Array = along) -> float:
            return function(x + h * along, cell).energy

        slope = _slope(moved)
        errors.append(abs(slope + float(np.sum(answer.forces * along))))
    largest = max(1.0, float(np.abs(answer.forces).sum(axis=0).max()))
    remark = f"{N_DIRECTIONS} directions, h = {STEP:g} A"
    found = [
        finding_within(
            "forces against differences", max(errors), DIFFERENCE_LIMIT * largest, "eV/A", remark
        )
    ]
    errors = []
    for a, b in np.ndindex(3, 3):
        strain = np.zeros((3, 3))
        strain[a, b] = 1.0

        def strained(h: float, strain: Array = strain) -> float:
            by = np.eye(3) + h * strain
            return function(x @ by, cell @ by).energy

        errors.append(abs(_slope(strained) + float(answer.virial[a, b])))
    largest = max(1.0, float(np.abs(answer.virial).max()))
    found.append(
        finding_within(
            "virial against differences", max(errors), DIFFERENCE_LIMIT * largest, "eV",
            f"nine strains, h = {STEP:g}",
        )
    )  # fmt: skip
    return found


def _slope(energy: Callable[[float], float]) -> float:
    """Derivative at 0, with an error of order h^6."""
    weights = ((1, 45.0), (2, -9.0), (3, 1.0))
    return sum(c * (energy(k * STEP) - energy(-k * STEP)) for k, c in weights) / (60 * STEP)
