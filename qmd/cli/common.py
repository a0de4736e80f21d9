"""Parts that all commands share: suggestions for wrong names, errors in one line, options."""

import difflib
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

from qmd.config.trust import trusting
from qmd.errors import InputError, QmdError, StoppedEarly, memory_errors, quoted

SYNONYMS = {
    "md": "run", "mdrun": "run", "simulate": "run", "start": "run", "continue": "run",
    "resume": "run", "restart": "run", "check": "validate", "test": "validate",
    "template": "init", "new": "init", "example": "init", "model": "potential",
    "models": "potential", "potentials": "potential", "show": "info", "card": "info", "ls": "list",
}  # fmt: skip
"""Names of commands in other engines, with their names here."""


USAGE_ERROR: Any = typer.BadParameter.__base__
"""Class of all errors in options and arguments."""


class Commands(typer.core.TyperGroup):
    """Group of commands whose errors are one line, with the nearest right name for a wrong one."""

    def make_context(self, *args: Any, **extra: Any) -> Any:
        with _usage_in_one_line():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: Any) -> Any:
        with _usage_in_one_line():
            return super().invoke(ctx)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] not in self.commands and not args[0].startswith("-"):
            with errors_in_one_line():
                raise _unknown_command(args[0], ctx.command_path, sorted(self.commands))
        return super().resolve_command(ctx, args)


@contextmanager
def _usage_in_one_line() -> Iterator[None]:
    """Print what is wrong with options or arguments in one line, and the usage in another."""
    try:
        yield
    except USAGE_ERROR as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # a group alone: its help
            raise
        message = " ".join(error.format_message().split()).replace("Value error, ", "").rstrip(".")
        hint = "`qmd --help` lists the commands, and `--help` after a command its options"
        if error.ctx is not None:
            command, pieces = (
                error.ctx.command_path,
                error.ctx.command.collect_usage_pieces(error.ctx),
            )
            hint = f"usage: {command} {' '.join(pieces)}; `{command} --help` describes them"
        with errors_in_one_line():
            raise InputError(message, hint) from None


def _unknown_command(name: str, group: str, commands: list[str]) -> InputError:
    known = {command: command for command in commands}
    known |= {word: command for word, command in SYNONYMS.items() if command in commands}
    close = difflib.get_close_matches(name.lower(), known, n=1)
    guess = f" Did you mean '{group} {known[close[0]]}'?" if close else ""
    return InputError(
        f"There is no command {quoted(f'{group} {name}')}.{guess}",
        f"Commands: {', '.join(commands)}. `{group} --help` describes them.",
    )


Input = Annotated[Path, typer.Argument(help="Input file (YAML).", show_default=False)]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key, e.g. steps=1e6."),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Trust = Annotated[
    bool,
    typer.Option("--trust", help="Let the input name foreign code: calculators, files, clusters."),
]


@contextmanager
def errors_in_one_line(debug: bool = False, trust: bool = False) -> Iterator[None]:
    """Print an error of the body in one line and end with its exit code.

    Parameters
    ----------
    debug : bool
        Print its traceback, too.
    trust : bool
        Let inputs and result folders name foreign code; see `qmd.config.trust`.
    """
    try:
        _check_environment()
        with memory_errors(), trusting(trust):
            yield
    except (QmdError, KeyboardInterrupt) as error:
        from qmd.cli import console

        if debug:
            traceback.print_exc()
        if not isinstance(error, QmdError):  # a command handles it itself once it has begun
            error = StoppedEarly("Interrupted.", "Run the same command again.")
        console.error(error.message, error.hint)
        raise typer.Exit(error.exit_code) from None
    except BrokenPipeError:  # e.g. `qmd schema | head`
        sys.stderr.close()
        raise typer.Exit(0) from None


def _check_environment() -> None:
    """Refuse a width of vectors that the kernels would refuse where they are imported.

    Raises
    ------
    InputError
        If `QMD_VECTOR_WIDTH` is neither 4 nor 8.
    """
    asked = os.environ.get("QMD_VECTOR_WIDTH", "")
    if asked not in ("", "4", "8"):
        raise InputError(
            f"The environment variable QMD_VECTOR_WIDTH must be 4 or 8, but is {quoted(asked)}.",
            "Unset it: the width is then that of the processor.",
        )


Quiet = Annotated[bool, typer.Option("--quiet", help="No progress, no summary.")]
