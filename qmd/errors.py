"""Errors a user can act on: one line of cause, one line of advice, one documented exit code.

Everything else that is raised is a bug of the program. The command line prints `message` and
`hint` on stderr and ends with `exit_code`; a traceback is shown with `--debug` only.

====  ==================  ==============================================================
code  class               meaning
====  ==================  ==============================================================
2     `InputError`        bad input file, option or structure
3     `MismatchError`     model missing, damaged or for another system; another input on resume
4     `NumericalError`    non-finite value, explosion, or outside the trained domain
5     `OutputError`       disk full, no permission, run directory locked
6     `CorruptError`      checkpoint, trajectory, log or topology damaged
75    `StoppedEarly`      stopped before the last step, resumable (`EX_TEMPFAIL`)
====  ==================  ==============================================================
"""

from typing import ClassVar


class QmdError(Exception):
    """Base of all errors with a documented exit code.

    Parameters
    ----------
    message : str
        What was expected and what came. Kept on one line: control characters, which may come
        from a stranger's file and would drive the terminal, are shown as escapes.
    hint : str, optional
        What to do about it, also one line.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(one_line(message))
        self.hint = None if hint is None else one_line(hint)

    @property
    def message(self) -> str:
        """The cause, one line."""
        return str(self)


class InputError(QmdError):
    """The input file, a command-line option or a structure file cannot be used."""

    exit_code = 2


class MismatchError(QmdError):
    """Model and system do not fit, or a resumed run differs from its checkpoint."""

    exit_code = 3


class NumericalError(QmdError):
    """A non-finite value, an explosion, or a geometry outside the trained domain."""

    exit_code = 4


class OutputError(QmdError):
    """Results cannot be written: disk full, no permission, lock held."""

    exit_code = 5


class CorruptError(QmdError):
    """A checkpoint, or an output that belongs to it, is damaged."""

    exit_code = 6


class StoppedEarly(QmdError):
    """Not a failure: the run stopped before its last step and can be resumed."""

    exit_code = 75


def one_line(text: str) -> str:
    """`text` with control, line-separating and bidirectional characters as ASCII escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def quoted(text: str, limit: int = 60) -> str:
    """`text` in quotes for a message, escaped and cut after `limit` characters."""
    return f"'{one_line(text)}'" if len(text) <= limit else f"'{one_line(text[:limit])}...'"
