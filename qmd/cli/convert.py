"""Command `qmd convert`."""

from pathlib import Path
from typing import Annotated

import typer

from qmd.cli.common import Debug, Quiet, errors_in_one_line

CONVERT_EXAMPLES = (
    "Examples: `qmd init > input.yaml`, `qmd run input.yaml` and `qmd convert output "
    "water.extxyz`; `qmd convert output water.xtc --every 10`. Formats: .extxyz and .traj (ASE) "
    "with energies, forces, momenta and masses; .trr and .h5md "
    "with velocities and forces; .xyz, .dcd, .xtc, .pdb with positions. .dcd, .xtc, .trr and .h5md "
    "are opened together with topology.pdb."
)


def convert(
    run: Annotated[Path, typer.Argument(help="Folder of a run.", show_default=False)],
    output: Annotated[
        Path, typer.Argument(help="File to write; its suffix is the format.", show_default=False)
    ],
    replica: Annotated[
        int | None,
        typer.Option(min=0, help="Replica to convert, in a run of several.", show_default=False),
    ] = None,
    every: Annotated[int, typer.Option(min=1, help="Write every n-th frame.")] = 1,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the file if it exists.")
    ] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Convert the trajectory of a run to a format of other programs."""
    with errors_in_one_line(debug):
        from qmd.commands import conversion

        found = conversion.convert(
            run, output, replica=replica, every=every, overwrite=overwrite, progress=not quiet
        )
        if not quiet:
            print(found.summary())
