"""Command `qmd run`."""

from pathlib import Path
from typing import Annotated

import typer

from qmd.cli.common import Debug, Input, Set, Trust, errors_in_one_line

RUN_EXAMPLES = (
    "Examples: `qmd init > input.yaml` and `qmd run input.yaml`; `qmd run input.yaml --set "
    "integrator.timestep_fs=0.25 --output output-fine`. Exit codes: 0 done, 2 bad input, 3 model "
    "or resumed input does not fit, 4 stopped by a guard, 5 cannot write, 6 damaged checkpoint or "
    "output, 75 stopped early, can be resumed."
)


def run(
    input: Input,
    set: Set = None,
    output: Annotated[
        Path | None,
        typer.Option(help="Output folder; default: output/ beside the input.", show_default=False),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Delete earlier outputs and begin again.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress, no summary.")] = False,
    trust: Trust = False,
    debug: Debug = False,
) -> None:
    """Run or resume a simulation; after Ctrl-C it can be resumed."""
    with errors_in_one_line(debug, trust):
        from qmd.cli.startup import no_pydantic_plugins, numba_without_extras

        no_pydantic_plugins()
        numba_without_extras()
        from qmd.commands import dynamics

        finished = dynamics.run(
            input, set=set or (), output=output, overwrite=overwrite, progress=not quiet
        )
        if not quiet:
            print(finished.summary())
