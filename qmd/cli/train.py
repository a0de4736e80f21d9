"""Command `qmd train`."""

from pathlib import Path
from typing import Annotated

import typer

from qmd.cli.common import Debug, Input, Set, Trust, errors_in_one_line

EXAMPLES = (
    "Examples: `qmd train runs/train-lih/train.yaml`, in a checkout, takes a minute or two; `qmd "
    "train train.yaml --check`; `qmd train train.yaml --set dataset=labels.npz --output "
    "model.qmdp`. Ctrl-C writes the best result so far; the same command resumes."
)


def train(
    input: Input,
    set: Set = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Package to write; default: output/NAME.qmdp beside the input.",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Discard an earlier training and begin again.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Check the input and the data; train nothing.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress, no summary.")] = False,
    trust: Trust = False,
    debug: Debug = False,
) -> None:
    """Train or resume a potential on labels; Ctrl-C saves the best result so far."""
    with errors_in_one_line(debug, trust):
        from qmd.cli.startup import no_pydantic_plugins

        no_pydantic_plugins()
        from qmd.commands import training
        from qmd.commands.progress import note

        if check:
            plan = training.plan_training(input, set=set or ())
            if not quiet:
                note(plan.summary())
            return
        finished = training.train(
            input, set=set or (), output=output, overwrite=overwrite, progress=not quiet
        )
        if not quiet:
            print(finished.summary())
