"""Command `qmd ensemble`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qmd.cli.common import Debug, Input, Set, errors_in_one_line

if TYPE_CHECKING:
    from qmd.ensemble.session import EnsembleJob, EnsembleResult

EXAMPLES = (
    "Examples: `qmd ensemble ensemble.yaml --check`; `qmd ensemble ensemble.yaml --set "
    "executor.kind=processes --set executor.workers=2`. Run the same command again to resume. Exit "
    "codes: 0 all finished, that of the first run that failed, 75 some are not finished."
)
SHOWN = 40
"""Largest number of rows of a table; longer ones show only the runs that did not finish."""


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
    debug: Debug = False,
) -> None:
    """Run one input with many seeds, temperatures or potentials, each in a folder of its own."""
    with errors_in_one_line(debug):
        from qmd.cli.startup import no_pydantic_plugins

        no_pydantic_plugins()
        from qmd.cli import console
        from qmd.config.load import load
        from qmd.ensemble import session as ensemble_session
        from qmd.ensemble.config import EnsembleConfig

        prepared = ensemble_session.prepare(load(input, EnsembleConfig, set or ()))
        if check:
            _print_plan(prepared)
            return
        with console.bars(quiet=quiet) as on_progress:
            ended = ensemble_session.run(
                prepared, output, log=console.note, on_progress=on_progress
            )
        if not quiet:
            print(table(ended))
        if failed := ended.first_failure:
            member, outcome = failed
            console.error(f"{member.name}: {outcome.reason}", outcome.hint)
        elif ended.exit_code:
            console.error("Some runs are not finished.", "Run the same command again to resume.")
        raise typer.Exit(ended.exit_code)


def _print_plan(prepared: "EnsembleJob") -> None:
    from qmd.jobs.config import SlurmConfig

    executor = prepared.loaded.config.executor
    for member in prepared.members:
        print(f"{member.name}  {' '.join(member.overrides)}")
    print(f"{len(prepared.members)} runs, {prepared.steps} steps, executor {executor.kind}")
    if isinstance(executor, SlurmConfig):
        from qmd.jobs.open import job_script

        print(job_script(executor))


def table(ended: "EnsembleResult") -> str:
    """Return a table of the outcomes; of many runs, only those that did not finish."""
    rows = [("run", "status", "step", "reason")]
    for member, outcome in ended.outcomes:
        if outcome is None:
            rows.append((member.name, "waiting", "", ""))
        elif outcome.status != "finished" or len(ended.outcomes) <= SHOWN:
            rows.append((member.name, outcome.status, str(outcome.step), outcome.reason))
    widths = [max(len(row[n]) for row in rows) for n in range(3)]
    lines = [
        f"{a:{widths[0]}}  {b:{widths[1]}}  {c:>{widths[2]}}  {d}".rstrip() for a, b, c, d in rows
    ]
    finished = sum(o is not None and o.status == "finished" for _, o in ended.outcomes)
    lines.append(f"{finished} of {len(ended.outcomes)} runs finished; {ended.directory}/runs.csv")
    return "\n".join(lines)
