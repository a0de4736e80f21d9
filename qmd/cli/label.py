"""Command `qmd label`: energies and forces of geometries by a reference method."""

from pathlib import Path
from typing import Annotated

import typer

from qmd.cli.common import Debug, Input, Quiet, Set, errors_in_one_line

LABEL_EXAMPLES = (
    "Examples: `qmd label label.yaml`; `qmd label label.yaml --set workers=2 --output more.npz`. "
    "After a stop, or a failure at a frame, the same command resumes there. `qmd train` reads the "
    "file."
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
    debug: Debug = False,
) -> None:  # fmt: skip
    """Compute energies and forces of geometries by DFT, full CI or any ASE calculator."""
    with errors_in_one_line(debug):
        from qmd.cli import console
        from qmd.config.load import load
        from qmd.label import session as label_session
        from qmd.label.config import LabelConfig

        loaded = load(input, LabelConfig, set or ())
        with console.bars(quiet=quiet) as on_progress:
            target = label_session.run(
                loaded, output, log=console.note,
                on_progress=lambda done, of: on_progress("labels", done, of),
            )  # fmt: skip
        if not quiet:
            print(f"{target}, and its card {target.with_suffix('.json')}")
