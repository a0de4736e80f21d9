"""Checks that refuse labels which cannot belong to a molecule, or to a cell, before a training.

Each check compares the labels with something that does not depend on them: the atoms of the
model, the size of molecules, the energies of free atoms, the law that forces are minus the slope
of the energy. A check that cannot decide passes.
"""

import numpy as np
from ase.data import chemical_symbols

from qmd import units
from qmd.data.datasets import ENERGY_UNITS, Dataset
from qmd.errors import InputError, MismatchError
from qmd.io.structure import check_overlap, check_units
from qmd.system.cell import ISOLATED
from qmd.system.system import System
from qmd.typing import Array, Integers

MIN_FRAMES_FOR_SLOPES = 30
SAMPLE = 200
"""Number of frames that are compared with their nearest neighbours: 0.5 s for 21 atoms."""
LARGEST_FORCE = 12.0
"""Largest typical force component (eV/angstrom): a bond of 50 eV/angstrom^2 at 33,000 K."""
NET_FRACTION = 0.3
"""Largest net force and torque, as a fraction of the sum of independent forces on the atoms;
numerical noise of density functionals is 0.01, deliberate noise of 10 % is 0.1."""
ATOMS_HARTREE = {
    1: -0.5, 2: -2.862, 3: -7.433, 4: -14.573, 5: -24.529, 6: -37.689, 7: -54.401, 8: -74.809,
    9: -99.409, 10: -128.547, 11: -161.859, 12: -199.615, 13: -241.877, 14: -288.854,
    15: -340.719, 16: -397.505, 17: -459.482, 18: -526.818,
}  # fmt: skip
"""Hartree-Fock energies of free atoms: E. Clementi, C. Roetti, At. Data Nucl. Data Tables 14, 177
(1974). All-electron total energies of molecules are within 3 % of their sum."""


def check(dataset: Dataset, species: tuple[str, ...], *, forces: bool) -> None:
    """Refuse labels that a model of `species` cannot be trained on.

    Parameters
    ----------
    dataset : Dataset
    species : tuple of str
        Chemical symbols in the atom order of the model.
    forces : bool
        True if forces will be fitted.

    Raises
    ------
    InputError, MismatchError
        In one line: what was expected, what was found, and what to do.
    """
    _check_atoms(dataset, species)
    _check_lengths(dataset, species)
    _check_total_energies(dataset, species)
    _check_variation(dataset, forces)
    _check_repeats(dataset)
    if dataset.forces is not None:
        _check_sizes(dataset, dataset.forces)
        _check_net_forces(dataset, dataset.forces)
        if len(dataset) >= MIN_FRAMES_FOR_SLOPES and dataset.cells is None:
            _check_slopes(dataset, dataset.forces)


def _refusal(dataset: Dataset, what: str, hint: str) -> InputError:
    return InputError(f"dataset '{dataset.name}': {what}", hint)


def _check_atoms(dataset: Dataset, species: tuple[str, ...]) -> None:
    n_atoms = dataset.positions.shape[1]
    found = (
        tuple(
            chemical_symbols[z] if 0 < z < len(chemical_symbols) else "?" for z in dataset.numbers
        )
        if dataset.numbers is not None
        else species
    )
    if len(species) == n_atoms and found == species:
        return
    same = sorted(found) == sorted(species)
    found_atoms = " ".join(found) if dataset.numbers is not None else f"{n_atoms} atoms"
    raise MismatchError(
        f"dataset '{dataset.name}' is for {found_atoms}, the model for {' '.join(species)}",
        hint="put the atoms into the order of the model" if same else "choose another model.kind",
    )


def _check_lengths(dataset: Dataset, species: tuple[str, ...]) -> None:
    numbers = np.array([chemical_symbols.index(symbol) for symbol in species])
    frame = 0 if dataset.cells is not None else _median_frame(dataset.positions)
    masses = np.ones(len(numbers))

    def system(frame: int, name: str) -> System:
        cell = ISOLATED if dataset.cells is None else dataset.cells[frame]
        return System(numbers, dataset.positions[frame], masses, None, name, cell=cell)

    check_units(system(frame, dataset.name))
    for i in range(len(dataset)):
        check_overlap(system(i, f"{dataset.name}, frame {i + 1}"))


def _median_frame(positions: Array) -> int:
    """Return the index of the frame with the median mean distance."""
    size = _distances(positions).mean(axis=1)
    return int(np.argsort(size)[len(size) // 2])


def _distances(positions: Array) -> Array:
    """Return all interatomic distances (n_frames, n_pairs), angstrom."""
    i, j = np.triu_indices(positions.shape[1], 1)
    distances: Array = np.linalg.norm(positions[:, i] - positions[:, j], axis=2)
    return distances


def _check_total_energies(dataset: Dataset, species: tuple[str, ...]) -> None:
    """Refuse total energies in another unit; relative or pseudopotential energies pass."""
    atoms = [ATOMS_HARTREE.get(chemical_symbols.index(symbol)) for symbol in species]
    expected = units.hartree * sum(e for e in atoms if e is not None)
    ratio = float(np.median(dataset.energies)) / expected
    for unit, factor in ENERGY_UNITS.items():
        if None not in atoms and unit != "eV" and abs(ratio * factor - 1) < 0.04:
            raise _refusal(
                dataset,
                f"energies of {np.median(dataset.energies):.6g} eV seem to be in {unit}; the atoms "
                f"alone have {expected:.6g} eV",
                f"set labels.energy_unit to {unit} if that is so",
            )


def _check_variation(dataset: Dataset, forces: bool) -> None:
    if len(dataset) > 1 and not np.ptp(dataset.energies) > 0:
        raise _refusal(dataset, "all energies are the same", "check labels.energy_key")
    if dataset.forces is not None and not np.abs(dataset.forces).max() > 0:
        raise _refusal(dataset, "all forces are zero", "check labels.forces_key")
    if forces and dataset.forces is None:
        raise _refusal(
            dataset,
            "it has no forces",
            "name them with labels.forces_key, or set loss.forces=false",
        )


def _check_repeats(dataset: Dataset) -> None:
    original = _originals(dataset)
    repeated = np.flatnonzero(original != np.arange(len(dataset)))
    if len(repeated):
        i = int(repeated[0])
        raise _refusal(
            dataset,
            f"frames {int(original[i]) + 1} and {i + 1} are the same geometry ({len(repeated)} "
            "repeated in all): a test frame could be one of training",
            "keep one of each, or set labels.repeats=drop",
        )


def without_repeats(dataset: Dataset) -> Dataset:
    """Return the first frame of each geometry."""
    return dataset.take(np.flatnonzero(_originals(dataset) == np.arange(len(dataset))))


def _originals(dataset: Dataset) -> Integers:
    """Return for each frame the first one of the same geometry, even if rotated or mirrored.

    Frames in cells are the same if cells and positions relative to the first atom are.
    """
    if dataset.cells is None:
        found = _distances(dataset.positions)
    else:
        moved = dataset.positions - dataset.positions[:, :1]
        n = len(dataset)
        found = np.concatenate([moved.reshape(n, -1), dataset.cells.reshape(n, -1)], axis=1)
    rounded = np.round(found, 7)
    _, first, inverse = np.unique(rounded, axis=0, return_index=True, return_inverse=True)
    originals: Integers = first[inverse.reshape(-1)]
    return originals


def _check_sizes(dataset: Dataset, forces: Array) -> None:
    typical = float(np.sqrt(np.median((forces**2).mean(axis=(1, 2)))))
    if typical > LARGEST_FORCE:
        raise _refusal(
            dataset,
            f"force components are typically {typical:.3g} eV/angstrom; molecules have about 1, "
            f"and at most {LARGEST_FORCE:g}: kcal/mol?",
            "state labels.energy_unit, labels.length_unit and labels.forces_unit",
        )


def _check_net_forces(dataset: Dataset, forces: Array) -> None:
    """Refuse a net force or torque; those within a molecule add up to zero, in a cell the force."""
    arms = dataset.positions - dataset.positions.mean(axis=1, keepdims=True)
    net, torque = forces.sum(axis=1), np.cross(arms, forces).sum(axis=1)
    size = np.sqrt((forces**2).sum())
    reach = np.sqrt((arms**2).sum(axis=2).mean())
    totals = [("force", net, 1.0), ("torque", torque, reach)]
    for what, total, unit in totals if dataset.cells is None else totals[:1]:
        fraction = np.sqrt((total**2).sum()) / (size * unit)
        if fraction > NET_FRACTION:
            raise _refusal(
                dataset,
                f"forces leave a net {what} of {100 * fraction:.0f} % of their size; "
                f"{'an isolated molecule' if dataset.cells is None else 'a cell'} has none",
                "positions and forces must have the same atom order, orientation and frame order",
            )


def _check_slopes(dataset: Dataset, forces: Array) -> None:
    """Compare energy differences of similar frames with the forces (trapezoidal rule).

    The comparison uses interatomic distances r, which need no superposition of frames: the slopes
    g = dE/dr solve ``-F = (dr/dx)^T g``, and ``E_b - E_a = (g_a + g_b)/2 . (r_b - r_a)``.
    """
    differences, expected = _pairs(dataset, forces)
    size = np.sqrt(expected @ expected)
    factor = expected @ differences / size**2
    correlation = factor * size / np.sqrt(differences @ differences)
    if correlation < -0.5:
        raise _refusal(
            dataset,
            "energies rise along the forces: the forces have the wrong sign, or are gradients",
            "change the sign of the forces in the file",
        )
    if abs(correlation) < 0.3:
        raise _refusal(
            dataset,
            f"energies and forces do not belong together (correlation {correlation:.2f} of energy "
            "differences with forces times displacements)",
            "check the order of the frames, labels.energy_key and labels.forces_key",
        )
    tolerance = 1.25 if correlation > 0.99 else 2.0
    if not 1 / tolerance < factor < tolerance:
        raise _refusal(
            dataset,
            f"energy differences are {factor:.3g} times what the forces give{_guess(factor)}",
            "state labels.energy_unit, labels.length_unit and labels.forces_unit",
        )


def _pairs(dataset: Dataset, forces: Array) -> tuple[Array, Array]:
    """Return energy differences of neighbours, and those that follow from the forces (eV)."""
    distances = _distances(dataset.positions)
    n = len(distances)
    picked = np.random.default_rng(0).permutation(n)[:SAMPLE]
    rows = []
    for i in picked:
        away = ((distances - distances[i]) ** 2).sum(axis=1)
        away[i] = np.inf
        j = int(away.argmin())
        g_i, g_j = (_slopes(dataset.positions[k], forces[k]) for k in (i, j))
        step = distances[j] - distances[i]
        rows.append((dataset.energies[j] - dataset.energies[i], (g_i + g_j) @ step / 2))
    differences, expected = np.array(rows).T
    return differences, expected


def _slopes(positions: Array, forces: Array) -> Array:
    """Return dE/dr of every pair of atoms that gives `forces`; the smallest if many do."""
    i, j = np.triu_indices(len(positions), 1)
    arms = positions[i] - positions[j]
    unit = arms / np.linalg.norm(arms, axis=1, keepdims=True)
    rows = np.zeros((len(i), *positions.shape))
    pairs = np.arange(len(i))
    rows[pairs, i], rows[pairs, j] = unit, -unit
    by_coordinate = rows.reshape(len(i), -1).T
    return np.asarray(np.linalg.lstsq(by_coordinate, -forces.reshape(-1), rcond=1e-2)[0], float)


_RATIOS = {
    "energies in kcal/mol beside forces in eV/angstrom": 1 / ENERGY_UNITS["kcal/mol"],
    "energies in kJ/mol beside forces in eV/angstrom": 1 / ENERGY_UNITS["kJ/mol"],
    "energies in Hartree beside forces in eV/angstrom": 1 / units.hartree,
    "energies in meV": 1000.0,
    "forces in Hartree/bohr beside energies in eV": units.hartree / units.bohr,
    "forces in Hartree/angstrom beside energies in eV": units.hartree,
    "forces in kcal/mol/angstrom beside energies in eV": ENERGY_UNITS["kcal/mol"],
    "forces per bohr beside positions in angstrom": 1 / units.bohr,
    "positions in bohr": units.bohr,
    "energies in Hartree beside forces in kcal/mol": ENERGY_UNITS["kcal/mol"] / units.hartree,
}


def _guess(factor: float) -> str:
    """Return the mixture of units that best explains `factor`, if one is close."""
    name = min(_RATIOS, key=lambda k: abs(np.log(factor / _RATIOS[k])))
    return f": {name}?" if abs(np.log(factor / _RATIOS[name])) < 0.15 else ""
