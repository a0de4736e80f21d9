"""Check the contracts of the imports: `[tool.importlinter]` in pyproject.toml.

import-linter finds modules by their folders, and in a checkout `qmd.integrators` and
`qmd.potentials` lie beside `qmd/`. It is therefore given a copy of the sources, laid out like an
installed package. Usage: `python .ci/imports.py [CHECKOUT]`.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from importlinter.cli import lint_imports

PLACES = {"qmd": "qmd", "integrators": "qmd/integrators", "potentials": "qmd/potentials"}


def main(checkout: Path) -> int:
    """Return 0 if every contract is kept, else 1; import-linter prints what is broken."""
    with tempfile.TemporaryDirectory() as scratch:
        for folder, place in PLACES.items():
            ignored = shutil.ignore_patterns("__pycache__", "*.qmdp")
            shutil.copytree(checkout / folder, Path(scratch, place), ignore=ignored)
        os.chdir(scratch)  # where import-linter looks for `qmd` first
        config = str(checkout / "pyproject.toml")
        return int(lint_imports(config_filename=config, no_cache=True, no_logo=True))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1]).resolve()))
