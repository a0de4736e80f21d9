"""Commands `qmd analyze` and `qmd compare`."""

from pathlib import Path
from typing import Annotated

import typer

from qmd.cli.common import Debug, Trust, errors_in_one_line

ANALYZE_EXAMPLES = (
    "Examples: `qmd init > input.yaml`, `qmd run input.yaml` and `qmd analyze output`, which "
    "writes output/report.html; `qmd analyze output --json numbers.json --report water.html`; `qmd"
    " analyze ensemble` merges the runs of `qmd ensemble`: means over seeds, with standard errors."
)
COMPARE_EXAMPLES = (
    "Examples: `qmd compare sivqlm-h2o runs/reference/h2o`, in a checkout, runs the potential from"
    " the start of the reference; `qmd compare runs/mine runs/reference/h2o --json verdict.json`. "
    "The verdict is `same` or `differs`; both end with exit code 0."
)
Report = Annotated[
    Path | None,
    typer.Option("--report", help="HTML file; default: beside the trajectory.",
                 show_default=False),
]  # fmt: skip
Json = Annotated[
    Path | None, typer.Option("--json", help="File for the results as JSON.", show_default=False)
]
Replica = Annotated[
    int | None,
    typer.Option(min=0, help="Replica to read, in a run of several.", show_default=False),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress, no summary.")]


def analyze(
    run: Annotated[
        Path, typer.Argument(help="Folder of a run or of an ensemble.", show_default=False)
    ],
    replica: Replica = None,
    report: Report = None,
    json_file: Json = None,
    no_timestep: Annotated[
        bool, typer.Option("--no-timestep", help="Do not test shorter time steps.")
    ] = False,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="First compare all outputs with the last checkpoint."),
    ] = False,
    viscosity: Annotated[
        float | None,
        typer.Option(min=1e-6, help="Viscosity in mPa s (water: 0.89 at 298 K), for the "
                     "finite-size correction of diffusion in a cell.", show_default=False),
    ] = None,
    quiet: Quiet = False,
    trust: Trust = False,
    debug: Debug = False,
) -> None:  # fmt: skip
    """Analyse a run: energy, temperature, geometry, vibrations; or an ensemble: means with errors.

    In a cell also density, pressure, radial distributions and diffusion. Writes an HTML report.
    """
    with errors_in_one_line(debug, trust):
        from qmd.commands import analyses

        found = analyses.analyze(
            run, replica=replica, report=report or True, json_file=json_file,
            timestep=not no_timestep, verify=verify, viscosity_mPa_s=viscosity,
            progress=not quiet,
        )  # fmt: skip
        if not quiet:
            print(found.summary())


def compare(
    run: Annotated[
        str, typer.Argument(help="Folder of a run, or a potential.", show_default=False)
    ],
    reference: Annotated[
        Path, typer.Argument(help="Folder of a reference run.", show_default=False)
    ],
    replica: Replica = None,
    report: Report = None,
    json_file: Json = None,
    points: Annotated[
        int,
        typer.Option(min=0, max=10_000, help="Number of frames of the model's path to compute "
                     "with the reference method; 0: do not use it."),
    ] = 20,
    quiet: Quiet = False,
    trust: Trust = False,
    debug: Debug = False,
) -> None:  # fmt: skip
    """Compare the dynamics of a potential with its reference: a verdict, and an HTML report."""
    with errors_in_one_line(debug, trust):
        from qmd.commands import analyses

        found = analyses.compare(
            run, reference, replica=replica, report=report or True, json_file=json_file,
            points=points, progress=not quiet,
        )  # fmt: skip
        if not quiet:
            print(found.summary())
