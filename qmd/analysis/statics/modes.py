"""Normal modes about a minimum: wavenumbers, zero-point energy, and pictures of the motion."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from qmd.analysis.statics.minimum import hessian, rigid_modes, vibrations
from qmd.errors import InputError
from qmd.system.system import System
from qmd.typing import Array, EnergyInCell

LARGEST_FORCE = 0.01
"""Largest force (eV/angstrom) of a start; beyond it, modes are those of no minimum."""
HC_eV_CM = 6.62607015e-34 * 2.99792458e10 / 1.602176634e-19
"""Energy (eV) of a wavenumber of 1/cm; exact constants of the SI."""
AMPLITUDE_A = 0.3
"""Largest displacement of an atom in the picture of a mode."""


class Modes(NamedTuple):
    """Normal modes, translations and rotations left out."""

    wavenumbers: Array
    """Wavenumbers, 1/cm, ascending, (n_modes,); imaginary ones are negative."""
    displacements: Array
    """Displacements of the atoms, (n_modes, n_atoms, 3), of which the longest has length 1."""

    @property
    def zero_point_energy(self) -> float:
        """Half of the sum of the energies (eV) of the modes that are not imaginary."""
        return float(HC_eV_CM * self.wavenumbers[self.wavenumbers > 0].sum() / 2)

    @property
    def n_imaginary(self) -> int:
        """Number of imaginary modes; 0 at a minimum."""
        return int((self.wavenumbers < 0).sum())


def normal_modes_of(
    function: EnergyInCell,
    system: System,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> Modes:
    """Return the normal modes of a system at rest, by differences of its forces.

    In a cell these are the modes in which all cells move alike (wave vector 0); three translations
    are left out, in free space also the rotations.

    Raises
    ------
    InputError
        If the forces do not vanish.
    """

    def method(positions: Array) -> tuple[float, Array]:
        energy, forces, _ = function(positions, system.cell, False)
        return energy, forces

    x = np.array(system.positions)
    largest = float(np.linalg.norm(method(x)[1], axis=1).max())
    if not largest <= LARGEST_FORCE:
        raise InputError(
            f"{system.name} is at no minimum of the potential: its largest force is {largest:.2g} "
            f"eV/A, expected {LARGEST_FORCE} at most",
            "relax it first: `qmd relax`",
        )
    rigid = rigid_modes(x, system.masses)
    if system.is_periodic:
        rigid = _translations(system.masses)
    wavenumbers, modes = vibrations(hessian(method, x, on_progress), system.masses, rigid)
    arrows = modes.reshape(len(modes), system.n_atoms, 3) / np.sqrt(system.masses)[:, None]
    longest = np.linalg.norm(arrows, axis=2).max(axis=1)
    return Modes(wavenumbers, arrows / longest[:, None, None])


def _translations(masses: Array) -> Array:
    """Return orthonormal mass-weighted translations, (3 n_atoms, 3)."""
    weights = np.sqrt(masses / masses.sum())
    return np.asarray(np.kron(weights[:, None], np.eye(3)))


def picture(system: System, modes: Modes, mode: int, n_frames: int) -> str:
    """Return extended XYZ of one period of a mode, its largest displacement `AMPLITUDE_A`."""
    along = " ".join("T" if vector.any() else "F" for vector in system.cell)
    lattice = " ".join(f"{value:.8f}" for value in system.cell.ravel())
    note = f'Lattice="{lattice}" ' if system.is_periodic else ""
    comment = (
        f"Properties=species:S:1:pos:R:3 mode={mode + 1} "
        f'wavenumber_per_cm={modes.wavenumbers[mode]:.3f} {note}pbc="{along}"'
    )
    lines = []
    for phase in 2 * np.pi * np.arange(n_frames) / n_frames:
        x = system.positions + AMPLITUDE_A * np.sin(phase) * modes.displacements[mode]
        rows = zip(system.symbols, x, strict=True)
        atoms = [f"{s} {a:.8f} {b:.8f} {c:.8f}" for s, (a, b, c) in rows]
        lines += [str(system.n_atoms), comment, *atoms]
    return "\n".join([*lines, ""])
