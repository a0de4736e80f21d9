"""The command line: parse, call, print. Heavy imports sit inside the commands."""

from pathlib import Path
from typing import Annotated

import typer

import qmd.cli.export  # noqa: F401  # adds its command to `qmd potential`
from qmd import __version__
from qmd.cli.analysis import ANALYZE_EXAMPLES, COMPARE_EXAMPLES, analyze, compare
from qmd.cli.benchmark import EXAMPLES as BENCHMARK_EXAMPLES
from qmd.cli.benchmark import benchmark
from qmd.cli.common import Commands, Debug, Input, Set, errors_in_one_line
from qmd.cli.driver import EXAMPLES as DRIVER_EXAMPLES
from qmd.cli.driver import driver
from qmd.cli.ensemble import EXAMPLES as ENSEMBLE_EXAMPLES
from qmd.cli.ensemble import ensemble
from qmd.cli.potential import potentials
from qmd.cli.reference import LABEL_EXAMPLES, REFERENCE_EXAMPLES, label, reference
from qmd.cli.train import EXAMPLES, train

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
app.command(epilog=ENSEMBLE_EXAMPLES)(ensemble)
app.command(epilog=EXAMPLES)(train)
app.command(epilog=LABEL_EXAMPLES)(label)
app.command(epilog=REFERENCE_EXAMPLES)(reference)
app.command(epilog=ANALYZE_EXAMPLES)(analyze)
app.command(epilog=COMPARE_EXAMPLES)(compare)
app.command(epilog=BENCHMARK_EXAMPLES)(benchmark)
app.command(epilog=DRIVER_EXAMPLES)(driver)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"qmd {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Molecular dynamics driven by quantum force fields."""


@app.command(
    epilog="Examples: `qmd run input.yaml`; `qmd run input.yaml --set integrator.timestep_fs=0.25 "
    "--output output-fine`. Exit codes: 0 done, 2 bad input, 3 model or resumed input does not "
    "fit, 4 stopped by a guard, 5 cannot write, 6 damaged checkpoint or output, 75 stopped early, "
    "resumable."
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
    debug: Debug = False,
) -> None:
    """Run a simulation, or go on where it stopped; Ctrl-C leaves it resumable."""
    with errors_in_one_line(debug):
        from qmd.cli.startup import no_pydantic_plugins, numba_without_blas

        no_pydantic_plugins()
        numba_without_blas()
        from qmd.cli import console
        from qmd.config.load import load_config
        from qmd.run import session
        from qmd.run.config import VelocityVerletConfig

        loaded = load_config(input, set or ())
        integrator = loaded.config.integrator
        nve = isinstance(integrator, VelocityVerletConfig)
        with console.progress_bar(
            integrator.timestep_fs, conserves_energy=nve, quiet=quiet
        ) as watch:
            finished = session.run(
                loaded, output, overwrite=overwrite, say=console.note, watch=watch
            )
        if not quiet:
            print(console.summary(finished))


@app.command(epilog="Example: `qmd validate input.yaml --set steps=100`.")
def validate(input: Input, set: Set = None, debug: Debug = False) -> None:
    """Check an input, its structure and its potential, without running or writing."""
    with errors_in_one_line(debug):
        from qmd.config.load import load_config
        from qmd.run.setup import build, start_state

        setup = build(load_config(input, set or ()))
        state, n = start_state(setup), setup.config.replicas
        many = f"{n} replicas of " if n > 1 else ""
        print(
            f"{input}: valid. {many}{setup.system.name} ({', '.join(setup.system.symbols)}) on "
            f"{setup.potential.name}, {setup.config.steps} steps of "
            f"{setup.config.integrator.timestep_fs:g} fs, {setup.dof} degrees of freedom, start at "
            f"{state.energy:.4f} eV."
        )


SCHEMAS = {
    "run": "qmd.run.config.RunConfig",
    "train": "qmd.train.config.TrainConfig",
    "label": "qmd.label.config.LabelConfig",
    "ensemble": "qmd.ensemble.config.EnsembleConfig",
    "benchmark": "qmd.benchmark.config.BenchmarkConfig",
    "benchmark-results": "qmd.benchmark.results.BenchmarkResults",
}


@app.command(
    epilog="Examples: `qmd schema > qmd.schema.json`, which `qmd init` inputs refer to; "
    "`qmd schema train`."
)
def schema(
    of: Annotated[str, typer.Argument(help=f"One of {', '.join(SCHEMAS)}.")] = "run",
) -> None:
    """Print the JSON Schema of an input, or of results, for editors and checkers."""
    with errors_in_one_line():
        import json
        from importlib import import_module

        from qmd.config.schema import json_schema
        from qmd.errors import InputError

        if of not in SCHEMAS:
            raise InputError(f"there is no schema {of}; expected one of {', '.join(SCHEMAS)}")
        module, _, name = SCHEMAS[of].rpartition(".")
        print(json.dumps(json_schema(getattr(import_module(module), name)), indent=2))


@app.command(epilog="Example: `qmd init > input.yaml`.")
def init() -> None:
    """Print a commented input for water."""
    with errors_in_one_line():
        from qmd.cli.template import TEMPLATE

        print(TEMPLATE, end="")
