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


def make_callable(name: str) -> None:
    """Let the package with this name be called."""
    sys.modules[name].__class__ = CommandPackage
