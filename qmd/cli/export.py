"""Command `qmd potential export`."""

from pathlib import Path
from typing import Annotated

import typer

from qmd.cli.common import Debug, errors_in_one_line
from qmd.cli.potential import Structure, named_package
from qmd.export.formats import Format

EXPORT_EXAMPLES = (
    "Example: `qmd potential export sivqlm-h2o --to ase -o water_ase.py`. The files run "
    "where qmd is not installed; see docs/export.md."
)


def export_potential(
    potential: Annotated[
        str,
        typer.Argument(help="Name or path of a .qmdp.", show_default=False),
    ],
    to: Annotated[Format, typer.Option("--to", help="Format of the file.", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="File to write; default: from the name."),
    ] = None,
    structure: Structure = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing file.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Write a potential for other programs: StableHLO, ASE, OpenMM-JAX, tojax (kUPS)."""
    with errors_in_one_line(debug):
        from qmd.export.formats import default_path, export

        package = named_package(potential, structure)
        path = output or default_path(package, to)
        size = export(package, to, path, overwrite=overwrite)
        print(f"{path}: {package.name} for {to}, {size / 1024:.0f} KiB.")
