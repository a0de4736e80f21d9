"""Extended XYZ, as `ase.io` reads it: structures with energy, momenta, forces and stress.

Written by hand, because importing `ase.io` takes longer than a short run.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase.data import atomic_masses

from qmd.integrators import State
from qmd.io import files
from qmd.system.system import System
from qmd.typing import Array

_PROPERTIES = "species:S:1:pos:R:3:momenta:R:3:forces:R:3"
_MASSES = ":masses:R:1"
"""Column that is there if a mass is not the usual one; momenta alone would be misread."""


def write(
    path: Path,
    system: System,
    states: Sequence[State],
    replicas: Sequence[int] | None = None,
    stresses: Sequence[Array | None] | None = None,
) -> None:
    """Write `states` of `system`, 17 digits, in ASE's units (eV, angstrom, u).

    Parameters
    ----------
    path : Path
    system : System
    states : sequence of State
    replicas : sequence of int, optional
        To which each state belongs.
    stresses : sequence of array, shape (3, 3), optional
        Of each state, in ASE's sign; None for one that has none.

    Raises
    ------
    OutputError
        If the file cannot be written; an older one stays.
    """
    notes = [""] * len(states) if replicas is None else [f"replica={r} " for r in replicas]
    for i, stress in enumerate(stresses or ()):
        if stress is not None:
            notes[i] += f'stress="{" ".join(_numbers(*stress))}" '
    frames = (_frame(system, state, note) for state, note in zip(states, notes, strict=True))
    files.write_text(path, "".join(frames))


def _frame(system: System, state: State, note: str) -> str:
    momenta = system.masses[:, None] * state.velocities
    energy = f"{state.energy:.17g}"
    isotopes = not np.array_equal(system.masses, atomic_masses[system.numbers])
    properties = _PROPERTIES + (_MASSES if isotopes else "")
    for what, value in (("charge", system.charge), ("multiplicity", system.multiplicity)):
        note += "" if value is None else f"{what}={value} "
    along = " ".join("T" if vector.any() else "F" for vector in state.cell)
    if state.cell.any():
        note += f'Lattice="{" ".join(_numbers(*state.cell))}" '
    comment = f'Properties={properties} energy={energy} step={state.step} {note}pbc="{along}"'
    masses = system.masses[:, None] if isotopes else np.empty((system.n_atoms, 0))
    rows = zip(system.symbols, state.positions, momenta, state.forces, masses, strict=True)
    lines = [" ".join([symbol, *_numbers(x, p, f, m)]) for symbol, x, p, f, m in rows]
    return "\n".join([str(system.n_atoms), comment, *lines, ""])


def _numbers(*vectors: Sequence[float]) -> list[str]:
    return [f"{value:.17g}" for vector in vectors for value in vector]
