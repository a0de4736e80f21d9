"""The packages of the distribution: every folder with an `__init__.py`."""

from pathlib import Path

from setuptools import setup

FOLDERS = {"qmd": "qmd", "qmd.integrators": "integrators", "qmd.potentials": "potentials"}
"""Folders of this checkout by the package that they are."""


def packages() -> list[str]:
    """Names of all packages and their subpackages."""
    root = Path(__file__).parent
    return sorted(
        ".".join((name, *file.parent.relative_to(root / folder).parts))
        for name, folder in FOLDERS.items()
        for file in (root / folder).rglob("__init__.py")
    )


if __name__ == "__main__":
    setup(packages=packages(), package_dir=FOLDERS)
