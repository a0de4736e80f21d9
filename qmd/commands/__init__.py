"""The commands as functions: what `qmd run` and the others do, for Python and for notebooks.

The command line calls these functions and prints what they return. Each module is imported when
one of its functions is first used: `import qmd` stays light.
"""

from importlib import import_module
from typing import Any

PLACES = {
    "run": "dynamics",
    "train": "training",
    "tune": "tunings",
    "label": "labels",
    "analyze": "analyses",
    "analyze_circuit": "circuits",
    "compare": "analyses",
    "benchmark": "benchmarks",
    "ensemble": "ensembles",
    "convert": "conversion",
    "relax": "statics",
    "modes": "statics",
}
"""The modules of this folder that define the functions."""


def command(name: str) -> Any:
    """Return the function of a command."""
    return getattr(import_module(f"qmd.commands.{PLACES[name]}"), name)
