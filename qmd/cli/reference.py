"""The commands `qmd label` and `qmd reference`."""

from pathlib import Path
from typing import Annotated

import typer

from qmd.cli.common import Debug, Input, Set, errors_in_one_line

LABEL_EXAMPLES = (
    "Examples: `qmd label label.yaml`; `qmd label label.yaml --set workers=2 --output more.npz`. "
    "Stopped, or failed at a frame, the same command goes on from there. `qmd train` reads the "
    "file."
)
REFERENCE_EXAMPLES = (
    "Example: `qmd reference runs/reference/h2o/input.yaml`. The input is that of `qmd run`, with "
    "potential.kind dft, fci or ase; unless it says other, every step is kept."
)
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress, no summary.")]
EVERY_STEP = "trajectory_every", "log_every", "checkpoint_every"


def label(
    input: Input,
    set: Set = None,
    output: Annotated[
        Path | None,
        typer.Option(help="The .npz file; default: labels.npz beside the input.",
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
        with console.bars(quiet=quiet) as watch:
            target = label_session.run(
                loaded, output, say=console.note,
                watch=lambda done, of: watch("labels", done, of),
            )  # fmt: skip
        if not quiet:
            print(f"{target}, and its card {target.with_suffix('.json')}")


def reference(
    input: Input,
    set: Set = None,
    output: Annotated[
        Path | None,
        typer.Option(help="Output folder; default: output/ beside the input.", show_default=False),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Delete earlier outputs and begin again.")
    ] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Dynamics on a reference method, every step kept, or go on where it stopped."""
    with errors_in_one_line(debug):
        from qmd.cli.app import run
        from qmd.config.load import load_config
        from qmd.errors import InputError
        from qmd.run.config import ReferenceConfig

        changes = list(set or ())
        config = load_config(input, changes).config
        if not isinstance(config.potential, ReferenceConfig):
            wanted = config.potential
            raise InputError(
                f"potential {wanted.name if wanted.kind == 'package' else wanted.kind} is no "
                "reference method; expected a mapping with kind dft, fci or ase",
                "`qmd run` runs all other potentials.",
            )
        given = config.output.model_fields_set
        changes += [f"output.{key}=1" for key in EVERY_STEP if key not in given]
        run(input, changes, output, overwrite, quiet, debug)
