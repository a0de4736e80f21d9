"""The package of a trained potential, `.qmdp`: a zip of JSON and raw arrays, no code.

============================  ==========================================================
`model.json`                  architecture, species, units, domain, training card, hashes
`parameters.safetensors`      trained parameters
`test_vectors.safetensors`    positions with their energies and forces
============================  ==========================================================

A package is data: opening one never runs code, and sizes are checked before anything is
allocated. Loading checks the hashes and evaluates the test vectors with the native kernel (with
JAX if the circuit is beyond it), so that a wrong compilation is noticed before the first step.
The same model always gives the same bytes.
"""

import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from ..tree.walk import named_parameters
from . import archive, package_form
from .domain import Domain
from .limits import why_too_expensive
from .package import EnergyAndForces, Package, PackageError
from .vectors import check, vectors_of

SHIPPED = Path(__file__).parents[1] / "shipped"
"""Folder of the packages that come with the program."""


def save(
    path: Path,
    package: Package,
    evaluate: Callable[..., tuple[float, np.ndarray]],
    of_variants: Sequence[EnergyAndForces] = (),
) -> str:
    """Write a package, so that a reader finds the old file or the new one; returns its SHA-256.

    Parameters
    ----------
    evaluate : callable
        Positions (n_atoms, 3) and, where test vectors have cells, the cell (3, 3) -> energy and
        forces, for the test vectors; an interpreter other than the native kernel, which will be
        held to them.
    of_variants : sequence of callable
        The same for each variant.
    """
    vectors = vectors_of("", evaluate, package.test_positions, package.test_cells)
    if package.test_cells is not None:
        vectors["cells"] = np.ascontiguousarray(package.test_cells, float)
    for i, (variant, function) in enumerate(zip(package.variants, of_variants, strict=True)):
        vectors |= vectors_of(f"variants.{i}.", function, variant.test_positions)
    members = {
        "parameters.safetensors": save_tensors(
            {
                name: np.asarray(values, float, order="C")
                for name, values in named_parameters(package.model).items()
            }
        ),
        "test_vectors.safetensors": save_tensors(vectors),
    }
    model = package_form.to_json(package) | {
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in members.items()}
    }
    return archive.write(path, model, members)


def bounded_anew(path: Path, target: Path, domain: Domain, training: Mapping[str, Any]) -> str:
    """Write a copy of a package with another domain and training card; return its SHA-256.

    Parameters and test vectors keep their bytes.

    Parameters
    ----------
    path, target : Path
        Existing package that `load` has taken, and file to write.
    domain : Domain
    training : mapping
    """
    members = archive.members_of(archive.read_bytes(path))
    model = json.loads(members.pop("model.json"))
    changed = {"domain": package_form.domain_to_json(domain), "training": dict(training)}
    return archive.write(target, model | changed, members)


def find(name: str, folder: Path = Path()) -> Path:
    """Path of a package: a shipped name, or a file relative to `folder`.

    Raises
    ------
    FileNotFoundError
        If there is neither; the message lists the shipped names.
    """
    if name in shipped():
        return SHIPPED / f"{name}.qmdp"
    path = folder / name
    if os.path.isfile(path):
        return path
    raise FileNotFoundError(
        f"There is no potential '{name}': it is neither a file nor one of {', '.join(shipped())}."
    )


def shipped() -> list[str]:
    """Names of the packages that come with the program."""
    return sorted(path.stem for path in SHIPPED.glob("*.qmdp"))


def load(path: Path) -> Package:
    """Read and check a package.

    Raises
    ------
    PackageError
        In one line, if the file is damaged, too large, of a newer schema, or if the native
        kernel does not reproduce the test vectors.
    FileNotFoundError
        If there is no such file.
    """
    return _loaded(path, evaluated=True)


def read(path: Path) -> Package:
    """Read a package without a kernel: its hashes and shapes are checked, its test vectors not.

    Raises
    ------
    PackageError, FileNotFoundError
        As `load`, but for the test vectors.
    """
    return _loaded(path, evaluated=False)


def _loaded(path: Path, evaluated: bool) -> Package:
    try:
        data = archive.read_bytes(path)
        model, parameters, vectors = _unpack(data)
        package = package_form.from_json(
            model, parameters, vectors, hashlib.sha256(data).hexdigest()
        )
        served = [package, *(package.on(variant.species) for variant in package.variants)]
        if reason := why_too_expensive([(len(one.test_positions), one.model) for one in served]):
            raise PackageError(reason)
        for i, one in enumerate(served if evaluated else ()):
            check(one, vectors, f"variants.{i - 1}." if i else "")
    except (
        PackageError, zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, NotImplementedError,
        EOFError, SafetensorError, ValueError, KeyError, TypeError, IndexError, OverflowError,
        RecursionError, RuntimeError,
    ) as error:  # fmt: skip
        kind = "" if isinstance(error, PackageError) else f"{type(error).__name__}: "
        raise PackageError(f"{path}: not a usable .qmdp package: {kind}{_line(error)}.") from None
    return package


def _line(error: Exception) -> str:
    text = " ".join(str(error).split()).rstrip(".")
    return "".join(c for c in text if c.isprintable())[:200] or "unreadable"


def _unpack(data: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray], dict[str, np.ndarray]]:
    members = archive.members_of(data)
    model = json.loads(members["model.json"], parse_constant=_refuse_constant)
    if not isinstance(model, dict) or model.get("format") != "qmdp":
        raise PackageError("model.json does not say format 'qmdp'")
    if model.get("schema") != package_form.SCHEMA:
        raise PackageError(
            f"schema {model.get('schema')!r}, this version reads {package_form.SCHEMA}"
        )
    for name in archive.MEMBERS[1:]:
        if hashlib.sha256(members[name]).hexdigest() != model["sha256"][name]:
            raise PackageError(f"the SHA-256 of {name} does not match")
    parameters, vectors = (load_tensors(members[name]) for name in archive.MEMBERS[1:])
    return model, parameters, vectors


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not a number of JSON")
