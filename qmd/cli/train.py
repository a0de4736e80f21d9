"""Command `qmd train`."""

from pathlib import Path
from typing import Annotated

import typer

from qmd.cli.common import Debug, Input, Set, errors_in_one_line

EXAMPLES = (
    "Examples: `qmd train train.yaml --check`; `qmd train train.yaml --set dataset=labels.npz "
    "--output model.qmdp`. Ctrl-C writes the best result so far; the same command resumes."
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
    debug: Debug = False,
) -> None:
    """Train or resume a potential on labels; Ctrl-C saves the best result so far."""
    with errors_in_one_line(debug):
        from qmd.cli.startup import no_pydantic_plugins

        no_pydantic_plugins()
        from qmd.config.load import load
        from qmd.train.config import TrainConfig

        loaded = load(input, TrainConfig, set or ())
        from qmd.cli import console, train_progress
        from qmd.train import session as train_session

        for line in loaded.notes:
            console.note(line)
        prepared = train_session.prepare(loaded)
        if not quiet:
            console.note(train_progress.plan_text(prepared))
        if check:
            return
        with train_progress.progress(quiet=quiet) as on_progress:
            finished = train_session.run(
                prepared, output, overwrite=overwrite, log=console.note, on_progress=on_progress
            )
        if not quiet:
            print(train_progress.summary(finished))
