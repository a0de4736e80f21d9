"""Boxes of equal molecules: start structures of liquids, the same for the same description."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from ase.data import atomic_masses, atomic_numbers

from qmd import units
from qmd.errors import InputError, NotInstalledError
from qmd.system.cell import minimum_image
from qmd.system.system import System
from qmd.typing import Array

MAX_ATOMS = 99_999
PACKMOL_S = 600.0
"""Longest time (s) that packmol may take."""
_SITES = {
    "simple cubic": [[0.0, 0.0, 0.0]],
    "body-centred": [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]],
    "face-centred": [[0.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]],
}
"""Sites of cubic lattices, as fractions of their cell."""
_ORIENTATIONS = 24
"""Orientations of a molecule of which that farthest from the molecules before is taken."""


@dataclass(frozen=True)
class Box:
    """Description of a cubic box.

    Parameters
    ----------
    molecule : str
        Built-in name, symbol of an element, or structure file with one molecule.
    count : int
        Number of molecules.
    density_g_per_cm3 : float
        Density (g/cm^3), from which the edge of the box follows.
    seed : int
        Of the places and orientations.
    placement : str
        ``lattice``: on the sites of a cubic lattice; ``packmol``: by the program of this name.
    """

    molecule: str
    count: int
    density_g_per_cm3: float
    seed: int = 1
    placement: str = "lattice"


BUILT_IN_BOXES = {
    "water-64": Box("h2o", 64, 0.997),
    "argon-108": Box("Ar", 108, 1.374),
}
"""Water at 298 K and 1 bar; argon near its triple point, the state of A. Rahman, Phys. Rev. 136,
A405 (1964)."""


def make_box(box: Box, load: Callable[[str], System]) -> System:
    """Return `count` copies of a molecule in a cubic cell.

    Parameters
    ----------
    box : Box
    load : callable
        Name of a molecule -> its isolated system.

    Raises
    ------
    InputError
        If the box would have too many atoms, or molecules overlap in it.
    NotInstalledError
        If packmol is asked for and not there.
    """
    molecule = _molecule(box.molecule, load)
    n_atoms = box.count * molecule.n_atoms
    if n_atoms > MAX_ATOMS:
        raise InputError(f"{n_atoms} atoms of {box.count} {box.molecule}; expected {MAX_ATOMS}")
    volume = box.count * molecule.masses.sum() / (box.density_g_per_cm3 * units.g_per_cm3)
    edge = round(volume ** (1 / 3), 6)  # six digits, so that files of all formats agree
    place = _by_packmol if box.placement == "packmol" else _on_lattice
    centred = molecule.positions - molecule.positions.mean(axis=0)
    positions = place(replace(molecule, positions=centred), box, edge)
    return System(
        np.tile(molecule.numbers, box.count),
        positions,
        np.tile(molecule.masses, box.count),
        None,
        f"{box.count} {molecule.name}",
        cell=np.diag([edge] * 3),
    )


def _molecule(name: str, load: Callable[[str], System]) -> System:
    if name in atomic_numbers and atomic_numbers[name]:
        number = atomic_numbers[name]
        return System(np.array([number]), np.zeros((1, 3)), atomic_masses[[number]], None, name)
    return load(name)


def _on_lattice(molecule: System, box: Box, edge: float) -> Array:
    """Return positions with the centres on lattice sites, chosen and turned at random."""
    rng = np.random.Generator(np.random.Philox(box.seed))
    sites = _sites(box.count) * edge
    chosen = sites[np.sort(rng.permutation(len(sites))[: box.count])]
    if molecule.n_atoms == 1:
        return np.asarray(chosen)
    placed = np.empty((box.count, molecule.n_atoms, 3))
    for k, centre in enumerate(chosen):
        turned = molecule.positions @ _rotations(rng)  # (orientations, n_atoms, 3)
        candidates = turned + centre
        placed[k] = candidates[int(_clearances(candidates, placed[:k], edge).argmax())]
    return np.asarray(placed.reshape(-1, 3))


def _sites(count: int) -> Array:
    """Return fractions of the cubic lattice with the fewest sites that are at least `count`."""
    best: Array | None = None
    for basis in _SITES.values():
        n = math.ceil(round((count / len(basis)) ** (1 / 3), 9))
        cells = np.array(list(np.ndindex(n, n, n)), float)
        sites = ((cells[:, None] + np.array(basis)) / n).reshape(-1, 3)
        if best is None or len(sites) <= len(best):
            best = sites
    assert best is not None
    return np.asarray(best)


def _rotations(rng: np.random.Generator) -> Array:
    """Return uniform rotations, shape (_ORIENTATIONS, 3, 3), from uniform quaternions."""
    a, b, c = rng.random((3, _ORIENTATIONS))
    low, high = np.sqrt(1 - a), np.sqrt(a)
    b, c = 2 * np.pi * b, 2 * np.pi * c
    x, y, z, w = low * np.sin(b), low * np.cos(b), high * np.sin(c), high * np.cos(c)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), -1, 0)


def _clearances(candidates: Array, placed: Array, edge: float) -> Array:
    """Return the shortest distance of each candidate to atoms that are placed (angstrom)."""
    others = placed.reshape(-1, 3)
    if not len(others):
        return np.zeros(len(candidates))
    reach = np.abs(candidates[0] - candidates[0].mean(axis=0)).max() + edge  # all, if few
    centre = candidates[0].mean(axis=0)
    near = others[np.abs(_wrapped(others - centre, edge)).max(axis=1) < min(reach, 8.0)]
    if not len(near):
        return np.zeros(len(candidates))
    arms = _wrapped(candidates[:, :, None] - near, edge)
    return np.asarray(np.linalg.norm(arms, axis=-1).min(axis=(1, 2)))


def _wrapped(arms: Array, edge: float) -> Array:
    shape = arms.shape
    return minimum_image(arms.reshape(-1, 3), np.diag([edge] * 3)).reshape(shape)


def _by_packmol(molecule: System, box: Box, edge: float) -> Array:
    """Return positions by packmol, which keeps molecules 2 angstrom apart, across the faces too.

    L. Martinez et al., J. Comput. Chem. 30, 2157 (2009).
    """
    import shutil
    import subprocess
    import tempfile

    program = shutil.which("packmol")
    if program is None:
        raise NotInstalledError(
            "`placement: packmol` needs the program packmol", "pip install packmol"
        )
    with tempfile.TemporaryDirectory() as folder:
        lines = [str(molecule.n_atoms), ""]
        rows = zip(molecule.symbols, molecule.positions, strict=True)
        lines += [f"{symbol} {x:.10f} {y:.10f} {z:.10f}" for symbol, (x, y, z) in rows]
        Path(folder, "one.xyz").write_text("\n".join([*lines, ""]))
        inner = edge - 2.0
        text = (
            f"tolerance 2.0\nfiletype xyz\noutput all.xyz\nseed {box.seed}\n"
            f"structure one.xyz\n number {box.count}\n inside cube 0. 0. 0. {inner:.6f}\n"
            "end structure\n"
        )
        try:
            done = subprocess.run(
                [program], input=text, cwd=folder, capture_output=True, text=True,
                timeout=PACKMOL_S, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise InputError(f"packmol did not end within {PACKMOL_S:g} s") from None
        made = Path(folder, "all.xyz")
        if done.returncode or not made.exists():
            raise InputError(
                f"packmol could not place {box.count} {box.molecule} in {edge:g} angstrom",
                hint="use a lower density, or `placement: lattice`",
            )
        found = np.loadtxt(made, skiprows=2, usecols=(1, 2, 3), ndmin=2)
    return np.asarray(found)
