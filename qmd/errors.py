"""Errors that a user can act on: one line of cause, one of advice, one documented exit code.

Every other exception is a bug of the program. The command line prints `message` and
`hint` on stderr and ends with `exit_code`; a traceback is shown with `--debug` only.

====  ==================  ==============================================================
code  class               meaning
====  ==================  ==============================================================
2     `InputError`        bad input file, option or structure
3     `MismatchError`     model missing, damaged or for another system; another input on resume
4     `NumericalError`    non-finite value, explosion, or outside the trained domain
5     `OutputError`       disk full, no permission, run folder locked, out of memory
6     `CorruptError`      checkpoint, trajectory, log or topology damaged
75    `StoppedEarly`      stopped before the last step, resumable (`EX_TEMPFAIL`)
====  ==================  ==============================================================
"""

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar


class QmdError(Exception):
    """Base of all errors with a documented exit code.

    Parameters
    ----------
    message : str
        What was expected and what was found, on one line. Control characters, which may come from a
        stranger's file and would act on the terminal, are shown as escapes.
    hint : str, optional
        What to do about it, also on one line.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(one_line(message))
        self.hint = None if hint is None else one_line(hint)
        if self.hint is not None:
            self.add_note(self.hint)  # shown below a traceback, in Python and in notebooks

    @property
    def message(self) -> str:
        """The cause, on one line."""
        return str(self)


class InputError(QmdError):
    """An input file, a command-line option or a structure file that cannot be used."""

    exit_code = 2


class MismatchError(QmdError):
    """A model that does not fit the system, or a resumed run that differs from its checkpoint."""

    exit_code = 3


class NotInstalledError(MismatchError):
    """The input needs a package that is not installed here."""


class AbsentDataError(InputError):
    """The input names a file in a folder that this machine does not have."""


class NumericalError(QmdError):
    """A non-finite value, an explosion, or a geometry outside the trained domain."""

    exit_code = 4


class OutputError(QmdError):
    """Results that cannot be written: disk full, no permission, lock held."""

    exit_code = 5


class OutOfMemoryError(OutputError):
    """The system does not give the memory, or the threads, that a task asks for."""


class CorruptError(QmdError):
    """A checkpoint, or an output that belongs to it, that is damaged."""

    exit_code = 6


class StoppedEarly(QmdError):
    """A run that stopped before its last step and can be resumed; this is no failure."""

    exit_code = 75
    result: object = None
    """The result as far as it has come, if the command has any of it."""


class Interrupted(StoppedEarly, KeyboardInterrupt):
    """A command that Ctrl-C stopped in good order; `except KeyboardInterrupt` catches it, too."""


def of_exit_code(code: int, message: str, hint: str | None = None) -> QmdError:
    """Return an error of the class that has an exit code."""
    kinds: dict[int, type[QmdError]] = {kind.exit_code: kind for kind in QmdError.__subclasses__()}
    return kinds.get(code, QmdError)(message, hint)


def out_of_memory(error: BaseException) -> OutOfMemoryError | None:
    """Return the error of this program for one of NumPy, Numba, JAX or Python that means so."""
    text = str(error)
    refused = isinstance(error, RuntimeError) and (
        "RESOURCE_EXHAUSTED" in text or "can't start new thread" in text  # JAX; threading
    )
    # Python's words where an allocation in C code failed and nobody said so, as in NumPy's
    # ufuncs and indexing. The memory may be free again by now: it cannot be asked.
    unsaid = isinstance(error, SystemError) and (
        "error return without exception set" in text
        or "returned NULL without setting an exception" in text
    )
    if not (isinstance(error, MemoryError) or refused or unsaid):
        return None
    text = "" if unsaid else text
    cause = text.splitlines()[0][:300].removesuffix(".") if text else "no further details"
    return OutOfMemoryError(
        f"Out of memory: {cause}.",
        "What was saved is kept. Use fewer replicas, workers or atoms, or more memory, and run the "
        "same command again.",
    )


@contextmanager
def memory_errors() -> Iterator[None]:
    """Turn errors of the body that mean a lack of memory into `OutOfMemoryError`."""
    try:
        yield
    except (MemoryError, RuntimeError, SystemError) as error:
        if not isinstance(error, RuntimeError):  # what the frames hold is missing for the message
            traceback.clear_frames(error.__traceback__)
        if found := out_of_memory(error):
            raise found from error
        raise


def one_line(text: str) -> str:
    """Return `text` with control, line-separating and bidirectional characters as ASCII escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def quoted(text: str, limit: int = 60) -> str:
    """Return `text` in quotes for a message, escaped and cut after `limit` characters."""
    return f"'{one_line(text)}'" if len(text) <= limit else f"'{one_line(text[:limit])}...'"


_DECIMAL_COMMA = re.compile(r"(?<![\w.,(-])[-+]?\d+,\d+(?:[eE][-+]?\d+)?(?![\w.,)-])")


def decimal_comma(text: str) -> str | None:
    """Return advice where `text` has a number with a decimal comma, with its line; else None."""
    lines = text.replace("=", "= ").splitlines()
    for number, line in enumerate(lines, 1):
        if found := _DECIMAL_COMMA.search(line):
            where = f"line {number}: " if len(lines) > 1 else ""
            value = found[0]
            return f"{where}{value} has a decimal comma; write {value.replace(',', '.')}"
    return None
