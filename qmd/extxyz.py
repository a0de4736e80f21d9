"""Extended XYZ, as `ase.io` reads it: structures with energy, momenta and forces.

Written by hand, because importing `ase.io` takes longer than a short run.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from qmd import atomic
from qmd.integrators import State
from qmd.system import System

_PROPERTIES = "species:S:1:pos:R:3:momenta:R:3:forces:R:3"


def write(path: Path, system: System, states: Iterable[State]) -> None:
    """Write `states` of `system`, 17 digits, in ASE's units (eV, angstrom, u).

    Raises
    ------
    OutputError
        If the file cannot be written; an older one stays.
    """
    atomic.write_text(path, "".join(_frame(system, state) for state in states))


def _frame(system: System, state: State) -> str:
    momenta = system.masses[:, None] * state.velocities
    comment = f'Properties={_PROPERTIES} energy={state.energy:.17g} step={state.step} pbc="F F F"'
    rows = zip(system.symbols, state.positions, momenta, state.forces, strict=True)
    lines = [" ".join([symbol, *_numbers(x, p, f)]) for symbol, x, p, f in rows]
    return "\n".join([str(system.n_atoms), comment, *lines, ""])


def _numbers(*vectors: Sequence[float]) -> list[str]:
    return [f"{value:.17g}" for vector in vectors for value in vector]
