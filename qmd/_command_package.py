"""Packages that are commands, too: `qmd.run` has the modules of a run, and `qmd.run(...)` runs."""

import inspect
import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class CommandPackage(ModuleType):
    """Package that can be called: the command of its name, which is imported then."""

    @property
    def command(self) -> Any:
        """The function in `qmd.commands`."""
        return import_module("qmd.commands").command(self.__name__.rpartition(".")[2])

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self.command)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Call the command."""
        return self.command(*arguments, **options)


def _doc(package: CommandPackage) -> str | None:
    return inspect.getdoc(package.command)


# What `help(qmd.run)` and `qmd.run?` show. In the class body it would be the text of the class.
CommandPackage.__doc__ = property(_doc)  # type: ignore[assignment]


def make_callable(name: str) -> None:
    """Let the package with this name be called."""
    sys.modules[name].__class__ = CommandPackage
