"""Export of potentials for other programs: one file, which runs where `qmd` is not installed.

===========  =========================  ====================================================
to           file                       module
===========  =========================  ====================================================
stablehlo    `NAME.stablehlo.zip`       `qmd.export.to_stablehlo`
ase          `NAME_ase.py`              `qmd.export.to_ase`
openmm-jax   `NAME.openmm-jax.zip`      `qmd.export.to_openmm`
tojax        `NAME.tojax.zip`           `qmd.export.to_tojax`
===========  =========================  ====================================================

An export is a compiled cache of a package, not an archive: JAX reads programs of its own older
versions for six months. The same package and the same version of JAX give the same bytes.
"""

import os
import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from qmd.errors import InputError
from qmd.io import files

if TYPE_CHECKING:  # the command line imports this module for `Format`
    from qmd.potentials import Package


class Format(StrEnum):
    """Formats to which a potential can be exported."""

    STABLEHLO = "stablehlo"
    ASE = "ase"
    OPENMM_JAX = "openmm-jax"
    TOJAX = "tojax"


def default_path(package: "Package", to: Format) -> Path:
    """Return the default name of the file, in the current folder."""
    stem = re.sub(r"[^\w.-]", "_", package.name)
    if to is Format.ASE:  # Python imports it
        return Path(re.sub(r"\W", "_", stem) + "_ase.py")
    return Path(f"{stem}.{to}.zip")


def export(package: "Package", to: Format, path: Path, *, overwrite: bool = False) -> int:
    """Write `package` to `path` in another form; returns the number of bytes.

    Raises
    ------
    InputError
        If `path` exists and `overwrite` is not set, or is a folder, or its folder is missing.
    OutputError
        If it cannot be written.
    """
    _check_target(path, overwrite)
    content = _encode(package, to)
    files.replace(path, content, keep_previous=False)
    return len(content)


def _check_target(path: Path, overwrite: bool) -> None:
    if os.path.isdir(path) or not os.path.isdir(path.parent):
        raise InputError(f"{path} must be a file in an existing folder.", "Name a file with -o.")
    if os.path.exists(path) and not overwrite:
        raise InputError(f"{path} exists.", "Choose another name with -o, or give --overwrite.")


def _encode(package: "Package", to: Format) -> bytes:
    match to:
        case Format.STABLEHLO:
            from qmd.export import to_stablehlo

            return to_stablehlo.encode(package)
        case Format.ASE:
            from qmd.export import to_ase

            return to_ase.encode(package)
        case Format.OPENMM_JAX:
            from qmd.export import to_openmm

            return to_openmm.encode(package)
        case Format.TOJAX:
            from qmd.export import to_tojax

            return to_tojax.encode(package)
