"""Command line: parse, call, print. Heavy imports are inside the commands."""

from typing import Annotated

import typer

from qmd import __version__
from qmd.cli.analysis import ANALYZE_EXAMPLES, COMPARE_EXAMPLES, analyze, compare
from qmd.cli.benchmark import EXAMPLES as BENCHMARK_EXAMPLES
from qmd.cli.benchmark import benchmark
from qmd.cli.circuit import circuits
from qmd.cli.common import Commands
from qmd.cli.convert import CONVERT_EXAMPLES, convert
from qmd.cli.driver import EXAMPLES as DRIVER_EXAMPLES
from qmd.cli.driver import driver
from qmd.cli.ensemble import EXAMPLES as ENSEMBLE_EXAMPLES
from qmd.cli.ensemble import ensemble
from qmd.cli.export import EXPORT_EXAMPLES, export_potential
from qmd.cli.inputs.init import INIT_EXAMPLES, SCHEMA_EXAMPLES, init, schema
from qmd.cli.inputs.validate import VALIDATE_EXAMPLES, validate
from qmd.cli.label import LABEL_EXAMPLES, label
from qmd.cli.potential import potentials
from qmd.cli.reference import REFERENCE_EXAMPLES, reference
from qmd.cli.run import RUN_EXAMPLES, run
from qmd.cli.statics import MODES_EXAMPLES, RELAX_EXAMPLES, modes, relax
from qmd.cli.train import EXAMPLES, train
from qmd.cli.tune import EXAMPLES as TUNE_EXAMPLES
from qmd.cli.tune import tune

app = typer.Typer(
    name="qmd",
    cls=Commands,
    help="Molecular dynamics driven by quantum force fields.",
    epilog="Begin with `qmd init > input.yaml`, then `qmd run input.yaml`.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(potentials, name="potential")
app.add_typer(circuits, name="circuit")


def _version(requested: bool) -> None:
    if requested:
        print(f"qmd {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Molecular dynamics driven by quantum force fields."""


potentials.command("export", epilog=EXPORT_EXAMPLES)(export_potential)
# In the order of `qmd --help`.
app.command(epilog=INIT_EXAMPLES)(init)
app.command(epilog=VALIDATE_EXAMPLES)(validate)
app.command(epilog=RUN_EXAMPLES)(run)
app.command(epilog=ANALYZE_EXAMPLES)(analyze)
app.command(epilog=COMPARE_EXAMPLES)(compare)
app.command(epilog=CONVERT_EXAMPLES)(convert)
app.command(epilog=RELAX_EXAMPLES)(relax)
app.command(epilog=MODES_EXAMPLES)(modes)
app.command(epilog=EXAMPLES)(train)
app.command(epilog=TUNE_EXAMPLES)(tune)
app.command(epilog=LABEL_EXAMPLES)(label)
app.command(epilog=REFERENCE_EXAMPLES)(reference)
app.command(epilog=ENSEMBLE_EXAMPLES)(ensemble)
app.command(epilog=BENCHMARK_EXAMPLES)(benchmark)
app.command(epilog=DRIVER_EXAMPLES)(driver)
app.command(epilog=SCHEMA_EXAMPLES)(schema)
