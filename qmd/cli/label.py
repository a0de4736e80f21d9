"""Command `qmd label`: energies and forces of geometries by a reference method."""

from pathlib import Path
from typing import Annotated

import typer

from qmd.cli.common import Debug, Input, Quiet, Set, Trust, errors_in_one_line

LABEL_EXAMPLES = (
    "Examples: `qmd init label > label.yaml` and `qmd label label.yaml --set "
    "structures=runs/labels-h2o/test.npz --set first=2`, in a checkout with the extra `reference`;"
    " `qmd label label.yaml --set workers=2 --output more.npz`. After a stop, or a failure at a "
    "frame, the same command resumes there. `qmd train` reads the file."
)


def label(
    input: Input,
    set: Set = None,
    output: Annotated[
        Path | None,
        typer.Option(help="File to write, .npz; default: labels.npz beside the input.",
                     show_default=False),
    ] = None,
    quiet: Quiet = False,
    trust: Trust = False,
    debug: Debug = False,
) -> None:  # fmt: skip
    """Compute energies and forces of geometries by DFT, full CI or any ASE calculator."""
    with errors_in_one_line(debug, trust):
        from qmd.commands import labels

        finished = labels.label(input, set=set or (), output=output, progress=not quiet)
        if not quiet:
            print(finished.summary())
