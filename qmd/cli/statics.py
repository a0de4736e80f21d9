"""Commands `qmd relax` and `qmd modes`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from qmd.cli.common import Debug, Input, Quiet, Set, Trust, errors_in_one_line

RELAX_EXAMPLES = (
    "Examples: `qmd init > input.yaml` and `qmd relax input.yaml`; `qmd relax crystal.yaml --cell "
    "--pressure 1 --output relaxed.extxyz`. A run starts from the result with `--set "
    "system.structure=relaxed.extxyz`."
)
MODES_EXAMPLES = (
    "Examples: `qmd init > input.yaml`, `qmd relax input.yaml` and `qmd modes input.yaml --set "
    "system.structure=relaxed.extxyz`, which writes modes/modes.json and modes/mode-0001.extxyz, "
    "...; `qmd modes input.yaml --frames 0` writes no trajectories."
)


class Optimiser(StrEnum):
    """Optimisers of ASE."""

    BFGS = "bfgs"
    LBFGS = "lbfgs"
    FIRE = "fire"


Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace earlier results.")]


def relax(
    input: Input,
    set: Set = None,
    output: Annotated[
        Path | None,
        typer.Option(help="File to write, .extxyz; default: relaxed.extxyz beside the input.",
                     show_default=False),
    ] = None,
    cell: Annotated[
        bool, typer.Option("--cell", help="Relax the lattice vectors, too; needs a stress.")
    ] = False,
    pressure: Annotated[float, typer.Option(help="Pressure from outside, GPa, with --cell.")] = 0.0,
    force: Annotated[
        float, typer.Option(min=1e-10, help="Largest force that is left, eV/angstrom.")
    ] = 1e-3,
    steps: Annotated[int, typer.Option(min=1, help="Largest number of steps.")] = 1000,
    optimiser: Annotated[Optimiser, typer.Option(help="Optimiser of ASE.")] = Optimiser.BFGS,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    trust: Trust = False,
    debug: Debug = False,
) -> None:  # fmt: skip
    """Relax a structure on its potential: positions, and the cell on request.

    Takes the input of a run; the keys of the dynamics are not used.
    """
    with errors_in_one_line(debug, trust):
        from qmd.commands import statics

        found = statics.relax(
            input, set=set or (), output=output, cell=cell, pressure_GPa=pressure,
            largest_force=force, steps=steps, optimiser=optimiser.value, overwrite=overwrite,
            progress=not quiet,
        )  # fmt: skip
        if not quiet:
            print(found.summary())


def modes(
    input: Input,
    set: Set = None,
    output: Annotated[
        Path | None,
        typer.Option(help="Folder to write; default: modes/ beside the input.",
                     show_default=False),
    ] = None,
    frames: Annotated[
        int, typer.Option(min=0, max=1000, help="Frames of one period of each mode; 0: none.")
    ] = 20,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
    trust: Trust = False,
    debug: Debug = False,
) -> None:  # fmt: skip
    """Compute normal modes of a relaxed structure: frequencies, zero-point energy, trajectories.

    Takes the input of a run; the keys of the dynamics are not used.
    """
    with errors_in_one_line(debug, trust):
        from qmd.commands import statics

        found = statics.modes(
            input, set=set or (), output=output, frames=frames, overwrite=overwrite,
            progress=not quiet,
        )  # fmt: skip
        if not quiet:
            print(found.summary())
