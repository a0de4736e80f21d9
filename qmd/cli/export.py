"""Command `qmd potential export`."""

import difflib
from pathlib import Path
from typing import Annotated

import typer

from qmd.cli.common import Debug, errors_in_one_line
from qmd.cli.potential import Structure, named_package
from qmd.errors import InputError, quoted
from qmd.export.formats import Format

EXPORT_EXAMPLES = (
    "Example: `qmd potential export sivqlm-h2o --to ase -o water_ase.py`. The files run "
    "where qmd is not installed; see docs/export.md."
)


def parse_format(text: str) -> Format:
    """Return the format with a name, or end with the nearest one."""
    if text in list(Format):
        return Format(text)
    close = [str(name) for name in Format if name.startswith(text.lower())]
    close = close or difflib.get_close_matches(text.lower(), list(Format), n=1)
    guess = f" Did you mean '{close[0]}'?" if close and text else ""
    with errors_in_one_line():
        raise InputError(f"--to {quoted(text)}: expected one of {', '.join(Format)}.{guess}")


def export_potential(
    potential: Annotated[
        str,
        typer.Argument(help="Name or path of a .qmdp.", show_default=False),
    ],
    to: Annotated[
        Format,
        typer.Option(
            "--to",
            help="Format of the file.",
            parser=parse_format,
            metavar=f"[{'|'.join(Format)}]",
            show_default=False,
        ),
    ],
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
