"""Command `qmd tune`."""

from pathlib import Path
from typing import Annotated

import typer

from qmd.cli.common import Debug, Input, Set, Trust, errors_in_one_line

EXAMPLES = (
    "Examples: `qmd tune runs/tune-lih/tune.yaml`, in a checkout, takes some minutes; `qmd init "
    "tune > tune.yaml`; `qmd tune tune.yaml --check`; `qmd tune tune.yaml --set evaluations=20`. "
    "Ctrl-C saves; the same command resumes with the same points."
)


def tune(
    input: Input,
    set: Set = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the search; default: beside the input, named like it.",
            show_default=False,
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Check the input and all values; train nothing.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress, no table.")] = False,
    trust: Trust = False,
    debug: Debug = False,
) -> None:
    """Search for the settings of a training with the least errors and times."""
    with errors_in_one_line(debug, trust):
        from qmd.cli.startup import no_pydantic_plugins

        no_pydantic_plugins()
        from qmd.commands import tunings
        from qmd.commands.progress import note
        from qmd.errors import StoppedEarly
        from qmd.tune.session import TuneResult

        if check:
            plan = tunings.plan_tune(input, set=set or ())
            if not quiet:
                note(plan.summary())
            return
        try:
            ended = tunings.tune(input, set=set or (), output=output, progress=not quiet)
        except StoppedEarly as stopped:
            if not quiet and isinstance(stopped.result, TuneResult):
                print(stopped.result.summary())
            raise
        if not quiet:
            print(ended.summary())
