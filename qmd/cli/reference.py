"""Command `qmd reference`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qmd.cli.common import Debug, Input, Quiet, Set, Trust, errors_in_one_line

if TYPE_CHECKING:
    from qmd.forces.config import PotentialConfig

REFERENCE_EXAMPLES = (
    "Example: `qmd init reference > reference.yaml` and `qmd reference reference.yaml --set "
    "steps=2`, with the extra `reference`. The input is that of `qmd run`, with potential.kind "
    "dft, fci or ase. By default every step is saved."
)
EVERY_STEP = "trajectory_every", "log_every", "checkpoint_every"


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
    trust: Trust = False,
    debug: Debug = False,
) -> None:
    """Run, or resume, dynamics on a reference method, with every step saved."""
    with errors_in_one_line(debug, trust):
        from qmd.cli.run import run
        from qmd.run.config import load_config

        changes = list(set or ())
        config = load_config(input, changes).config
        check_is_reference(config.potential)
        given = config.output.model_fields_set
        changes += [f"output.{key}=1" for key in EVERY_STEP if key not in given]
        run(input, changes, output, overwrite, quiet, trust, debug)


def check_is_reference(potential: "PotentialConfig") -> None:
    """Raise InputError unless `potential` is a reference method."""
    from qmd.errors import InputError
    from qmd.forces.config import PackageConfig, ReferenceConfig

    if isinstance(potential, ReferenceConfig):
        return
    name = potential.name if isinstance(potential, PackageConfig) else potential.kind
    raise InputError(
        f"potential {name} is no reference method; expected a mapping with kind dft, fci or ase",
        "`qmd run` runs all other potentials.",
    )
