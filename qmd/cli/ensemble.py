"""Command `qmd ensemble`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qmd.cli.common import Debug, Input, Set, Trust, errors_in_one_line

if TYPE_CHECKING:
    from qmd.ensemble.session import EnsembleJob

EXAMPLES = (
    "Examples: `qmd init > input.yaml`, `qmd init ensemble > ensemble.yaml` and `qmd ensemble "
    "ensemble.yaml`; `qmd ensemble ensemble.yaml --check`; `qmd ensemble ensemble.yaml --set "
    "executor.kind=processes --set executor.workers=2`. Run the same command again to resume. Exit"
    " codes: 0 all finished, that of the first run that failed, 75 some are not finished."
)


def ensemble(
    input: Input,
    set: Set = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Parent of the run folders; default: beside the input, named like it.",
            show_default=False,
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Check all inputs and print the runs; run nothing.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress, no table.")] = False,
    trust: Trust = False,
    debug: Debug = False,
) -> None:
    """Run one input with many seeds, temperatures or potentials, each in a folder of its own."""
    with errors_in_one_line(debug, trust):
        from qmd.cli.startup import no_pydantic_plugins

        no_pydantic_plugins()
        from qmd.commands import ensembles
        from qmd.ensemble.session import EnsembleResult
        from qmd.errors import StoppedEarly

        if check:
            _print_plan(ensembles.plan_ensemble(input, set=set or ()))
            return
        try:
            ended = ensembles.ensemble(input, set=set or (), output=output, progress=not quiet)
        except StoppedEarly as stopped:
            if isinstance(stopped.result, EnsembleResult):
                if not quiet:
                    print(stopped.result.summary())
                if stopped.result.first_failure:
                    stopped.result.check()
            raise
        if not quiet:
            print(ended.summary())
        ended.check()


def _print_plan(prepared: "EnsembleJob") -> None:
    from qmd.jobs.config import SlurmConfig

    executor = prepared.loaded.config.executor
    for member in prepared.members:
        print(f"{member.name}  {' '.join(member.overrides)}")
    print(f"{len(prepared.members)} runs, {prepared.steps} steps, executor {executor.kind}")
    if isinstance(executor, SlurmConfig):
        from qmd.jobs.open import job_script

        print(job_script(executor))
