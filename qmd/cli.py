"""The command line: parse, call, print. Heavy imports sit inside the commands."""

import difflib
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

from qmd import __version__
from qmd.errors import InputError, QmdError, StoppedEarly, quoted

SYNONYMS = {
    "md": "run", "mdrun": "run", "simulate": "run", "start": "run", "continue": "run",
    "resume": "run", "restart": "run", "check": "validate", "test": "validate",
    "template": "init", "new": "init", "example": "init", "model": "potential",
    "models": "potential", "potentials": "potential", "show": "info", "card": "info", "ls": "list",
}  # fmt: skip
"""What users of other engines type, and what it is called here."""


class _Commands(typer.core.TyperGroup):
    """Answers a wrong command with the nearest right one."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] not in self.commands and not args[0].startswith("-"):
            with _errors_in_one_line():
                raise _unknown_command(args[0], ctx.command_path, sorted(self.commands))
        return super().resolve_command(ctx, args)


def _unknown_command(name: str, group: str, commands: list[str]) -> InputError:
    known = {command: command for command in commands}
    known |= {word: command for word, command in SYNONYMS.items() if command in commands}
    close = difflib.get_close_matches(name.lower(), known, n=1)
    guess = f" Did you mean '{group} {known[close[0]]}'?" if close else ""
    return InputError(
        f"There is no command {quoted(f'{group} {name}')}.{guess}",
        f"Commands: {', '.join(commands)}. `{group} --help` says what they do.",
    )


app = typer.Typer(
    name="qmd",
    cls=_Commands,
    help="Molecular dynamics driven by quantum force fields.",
    epilog="Begin with `qmd init > input.yaml`, then `qmd run input.yaml`.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)
potentials = typer.Typer(
    cls=_Commands,
    help="List and describe potentials.",
    epilog="Example: `qmd potential info sivqlm-h2o`.",
    no_args_is_help=True,
)
app.add_typer(potentials, name="potential")

Input = Annotated[Path, typer.Argument(help="Input file (YAML).", show_default=False)]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key, e.g. steps=1e6."),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


@contextmanager
def _errors_in_one_line(debug: bool = False) -> Iterator[None]:
    try:
        yield
    except (QmdError, KeyboardInterrupt) as error:
        from qmd import console

        if debug:
            traceback.print_exc()
        if isinstance(error, KeyboardInterrupt):  # a run takes it for itself once it has begun
            error = StoppedEarly("Interrupted.", "Run the same command again.")
        console.error(error.message, error.hint)
        raise typer.Exit(error.exit_code) from None
    except BrokenPipeError:  # e.g. `qmd schema | head`
        sys.stderr.close()
        raise typer.Exit(0) from None


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
    with _errors_in_one_line(debug):
        from qmd.startup import no_pydantic_plugins, numba_without_blas

        no_pydantic_plugins()
        numba_without_blas()
        from qmd import console, session
        from qmd.config import VelocityVerletConfig
        from qmd.inputs import load_config

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
    with _errors_in_one_line(debug):
        from qmd.build import build, start_state
        from qmd.inputs import load_config

        setup = build(load_config(input, set or ()))
        state = start_state(setup)
        print(
            f"{input}: valid. {setup.system.name} ({', '.join(setup.system.symbols)}) on "
            f"{setup.package.name}, {setup.config.steps} steps of "
            f"{setup.config.integrator.timestep_fs:g} fs, {setup.dof} degrees of freedom, start at "
            f"{state.energy:.4f} eV."
        )


@app.command(epilog="Example: `qmd schema > qmd.schema.json`, which `qmd init` inputs refer to.")
def schema() -> None:
    """Print the JSON Schema of the input, for editors and checkers."""
    with _errors_in_one_line():
        import json

        from qmd.schema import json_schema

        print(json.dumps(json_schema(), indent=2))


@app.command(epilog="Example: `qmd init > input.yaml`.")
def init() -> None:
    """Print a commented input for water."""
    with _errors_in_one_line():
        from qmd.template import TEMPLATE

        print(TEMPLATE, end="")


@potentials.command("list", epilog="Example: `qmd potential list`.")
def list_potentials() -> None:
    """List the potentials that come with the program."""
    with _errors_in_one_line():
        from qmd.cards import table

        print(table())


@potentials.command("info", epilog="Example: `qmd potential info sivqlm-h2o`.")
def potential_info(
    name: Annotated[str, typer.Argument(help="Name or path of a .qmdp.", show_default=False)],
    debug: Debug = False,
) -> None:
    """Show the card of a potential: circuit, training, errors, domain, citation."""
    with _errors_in_one_line(debug):
        from qmd.build import load_package
        from qmd.cards import card

        print(card(load_package(name, Path())))
