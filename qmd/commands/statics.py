"""`qmd.relax` and `qmd.modes`: minima of potentials, and vibrations about them."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

import numpy as np

from qmd.analysis.statics import relax as relaxation
from qmd.analysis.statics.modes import normal_modes_of, picture
from qmd.commands.inputs import Input, loaded
from qmd.commands.progress import bars, display, interruptible, note
from qmd.config.load import Changes, LoadedConfig
from qmd.errors import InputError
from qmd.forces.runnable import RunnablePotential, require_cell, stress_of
from qmd.integrators import State
from qmd.io import extxyz, files
from qmd.run.config import RunConfig
from qmd.run.setup import system_and_potential
from qmd.system.system import System


@dataclass(frozen=True)
class RelaxResult:
    """A relaxed structure."""

    structure: Path
    """Extended XYZ with energy, forces and, in a full cell, stress."""
    energy_eV: float
    largest_force_eV_per_A: float
    volume_A3: float | None
    """Volume of the cell; None unless it was relaxed."""
    pressure_GPa: float | None
    """Pressure at the end; None unless the cell was relaxed."""
    steps: int

    def summary(self) -> str:
        """Return a few lines, as `qmd relax` prints them."""
        lines = [
            f"relaxed in {self.steps} steps: energy {self.energy_eV:.8g} eV, largest force "
            f"{self.largest_force_eV_per_A:.1e} eV/A"
        ]
        if self.volume_A3 is not None:
            lines.append(f"volume {self.volume_A3:.6g} A^3, pressure {self.pressure_GPa:.3g} GPa")
        return "\n".join([*lines, f"structure: {self.structure}"])


@dataclass(frozen=True)
class ModesResult:
    """Normal modes of a structure."""

    modes: Path
    """JSON file with wavenumbers, zero-point energy and displacements."""
    pictures: tuple[Path, ...]
    """Extended XYZ of one period of each mode."""
    wavenumbers_per_cm: tuple[float, ...]
    """Ascending; imaginary ones are negative."""
    zero_point_energy_eV: float

    def summary(self) -> str:
        """Return a few lines, as `qmd modes` prints them."""
        imaginary = sum(x < 0 for x in self.wavenumbers_per_cm)
        lines = ["modes (1/cm)  " + " ".join(f"{x:.1f}" for x in self.wavenumbers_per_cm)]
        if imaginary:
            lines.append(f"{imaginary} imaginary (negative): this is no minimum")
        lines.append(f"zero-point energy {self.zero_point_energy_eV:.6g} eV")
        return "\n".join([*lines, f"numbers: {self.modes}"])


def relax(
    input: Input[RunConfig],
    *,
    set: Changes = (),
    output: str | PathLike[str] | None = None,
    cell: bool = False,
    pressure_GPa: float = 0.0,
    largest_force: float = 1e-3,
    steps: int = 1000,
    optimiser: str = "bfgs",
    overwrite: bool = False,
    progress: bool = True,
    log: Callable[[str], None] = note,
) -> RelaxResult:
    """Relax the structure of an input on its potential; the keys of the dynamics are not used.

    Parameters
    ----------
    input : path, mapping or RunConfig
        Input of `qmd run`, or what it would hold.
    set : mapping or sequence of str
        Changes of keys, such as ``{"system.structure": "start.extxyz"}``.
    output : path, optional
        Extended XYZ to write; default: `relaxed.extxyz` beside the input.
    cell : bool
        Relax the lattice vectors, too; the potential must have a stress.
    pressure_GPa : float
        Pressure from outside, with `cell`.
    largest_force : float
        Largest force that is left, eV/angstrom.
    steps : int
        Largest number of steps.
    optimiser : str
        `bfgs`, `lbfgs` or `fire`, of ASE.
    overwrite : bool
        Replace `output` if it exists.
    progress : bool
        Show a bar; see `run`.
    log : callable
        Takes lines for the user.

    Returns
    -------
    RelaxResult

    Raises
    ------
    QmdError
        If the input is wrong, the cell cannot be relaxed, or no minimum is found.
    """
    if optimiser not in relaxation.OPTIMISERS:
        known = ", ".join(relaxation.OPTIMISERS)
        raise InputError(f"there is no optimiser {optimiser!r}", f"known: {known}")
    if pressure_GPa and not cell:
        raise InputError("a pressure has no effect unless the cell is relaxed", "add --cell")
    checked = loaded(input, RunConfig, "input", set, log)
    target = Path(output) if output is not None else checked.path.parent / "relaxed.extxyz"
    _require_free(target, overwrite)
    system, potential = _atoms_and_potential(checked, log)
    with interruptible(), display(progress) as screen:
        found = relaxation.relax(
            potential.energy_in_cell, system, potential.source.name, cell=cell,
            pressure_GPa=pressure_GPa, largest_force=largest_force, steps=steps,
            optimiser=optimiser,
            on_progress=lambda done, force: screen.update(
                "steps", done, steps, lambda: f"largest force {force:.2e} eV/A"
            ),
        )  # fmt: skip
    still = np.zeros_like(found.positions)
    state = State(found.positions, still, found.forces, found.energy, 0, found.cell)
    stress = stress_of(potential.energy_in_cell, found.positions, found.cell)
    extxyz.write(target, replace(system, velocities=None), [state], stresses=[stress])
    size = abs(float(np.linalg.det(found.cell))) if cell else None
    return RelaxResult(
        target, found.energy, found.largest_force, size, found.pressure_GPa, found.steps
    )


def modes(
    input: Input[RunConfig],
    *,
    set: Changes = (),
    output: str | PathLike[str] | None = None,
    frames: int = 20,
    overwrite: bool = False,
    progress: bool = True,
    log: Callable[[str], None] = note,
) -> ModesResult:
    """Compute the normal modes of a relaxed structure: frequencies and zero-point energy.

    Parameters
    ----------
    input : path, mapping or RunConfig
        Input of `qmd run`, or what it would hold; the keys of the dynamics are not used.
    set : mapping or sequence of str
        Changes of keys, such as ``{"system.structure": "relaxed.extxyz"}``.
    output : path, optional
        Folder to write; default: `modes` beside the input.
    frames : int
        Frames of one period of each mode; 0: no trajectories.
    overwrite : bool
        Replace earlier results.
    progress : bool
        Show a bar; see `run`.
    log : callable
        Takes lines for the user.

    Returns
    -------
    ModesResult

    Raises
    ------
    QmdError
        If the input is wrong, or the forces on the structure do not vanish.
    """
    checked = loaded(input, RunConfig, "input", set, log)
    folder = Path(output) if output is not None else checked.path.parent / "modes"
    target = folder / "modes.json"
    _require_free(target, overwrite)
    system, potential = _atoms_and_potential(checked, log)
    with interruptible(), bars(progress) as on_progress:
        found = normal_modes_of(
            potential.energy_in_cell, system, lambda done, of: on_progress("forces", done, of)
        )
    with files.output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    pictures = []
    for k in range(len(found.wavenumbers) if frames else 0):
        pictures.append(folder / f"mode-{k + 1:04d}.extxyz")
        files.write_text(pictures[-1], picture(system, found, k, frames))
    data = {
        "system": system.name,
        "potential": potential.source.name,
        "wavenumbers_per_cm": found.wavenumbers.tolist(),
        "imaginary": found.n_imaginary,
        "zero_point_energy_eV": found.zero_point_energy,
        "displacements": found.displacements.tolist(),
    }
    files.write_text(target, json.dumps(data, indent=1, allow_nan=False) + "\n")
    return ModesResult(
        target, tuple(pictures), tuple(found.wavenumbers.tolist()), found.zero_point_energy
    )


def _atoms_and_potential(
    checked: LoadedConfig[RunConfig], log: Callable[[str], None]
) -> tuple[System, RunnablePotential]:
    """Return what an input describes; refuse what would be left out of the potential."""
    config = checked.config
    without = {
        "confinement": config.confinement is not None,
        "system.fixed": bool(config.system.fixed),
    }
    for key in (key for key, given in without.items() if given):
        raise InputError(f"`{key}` is for runs: it would have no effect here", "remove it")
    system, potential = system_and_potential(checked)
    require_cell(potential.force(), system.cell, potential.source.name)
    if potential.source.warning:
        log(f"warning: {potential.source.warning}.")
    return system, potential


def _require_free(target: Path, overwrite: bool) -> None:
    if target.exists() and not overwrite:
        raise InputError(f"{target} exists", "give another --output, or --overwrite")
