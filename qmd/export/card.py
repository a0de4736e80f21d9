"""Card in JSON that every export contains beside its program, and a zip of constant bytes."""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.typing import ArrayLike

import qmd
from qmd.potentials import Package, compiled, evaluate

SCHEMA = 1
UNITS = {"length": "angstrom", "energy": "eV", "forces": "eV/angstrom"}


def card(
    package: Package,
    to: str,
    units: Mapping[str, str],
    signature: Mapping[str, str],
    platforms: tuple[str, ...],
) -> dict[str, Any]:
    """Return the card of an export.

    Parameters
    ----------
    units : mapping
        Units of the arguments and results of the programs; the rest is in eV and angstrom.
    signature : mapping
        Arguments and results, with shapes and types, of each member of the export.
    platforms : tuple of str
        JAX platforms for which the programs are lowered.
    """
    domain = package.domain
    return {
        "format": "qmd-export",
        "schema": SCHEMA,
        "to": to,
        "name": package.name,
        "description": package.description,
        "species": list(package.species),
        "units": dict(units),
        "signature": dict(signature),
        "energy_zero": "of the model; adding reference_energy_eV gives the energy of the labels",
        "reference_energy_eV": package.reference_energy_eV,
        "domain": {
            "pairs": domain.pairs.tolist(),
            "warn_A": domain.warn.tolist(),
            "stop_A": domain.stop.tolist(),
        },
        "test_vectors": test_vectors(package),
        "platforms": list(platforms),
        "package_sha256": package.sha256,
        "versions": {"qmd": qmd.__version__, "jax": jax.__version__},
        "citation": package.citation,
        "licence": package.licence,
    }


def test_vectors(package: Package) -> dict[str, Any]:
    """Return test positions (angstrom) with energies (eV) and forces (eV/angstrom).

    They come from the native kernel, or from JAX for models that it cannot evaluate.
    """
    try:
        kernel = package.native()
    except ValueError:
        with jax.enable_x64(True):
            program = compiled(package.potential())
            results = [_plain(*program(x)) for x in package.test_positions]
    else:
        results = [_plain(*evaluate(kernel, x)) for x in package.test_positions]
    return {
        "positions_A": package.test_positions.tolist(),
        "energies_eV": [energy for energy, _ in results],
        "forces_eV_per_A": [forces for _, forces in results],
    }


def _plain(energy: ArrayLike, forces: ArrayLike) -> tuple[float, list[list[float]]]:
    return float(np.asarray(energy)), np.asarray(forces).tolist()


def zipped(members: Mapping[str, bytes], card_name: str, card: Mapping[str, Any]) -> bytes:
    """Return a zip of `members` and a card with their SHA-256; it has the same bytes each time."""
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in members.items()}
    text = json.dumps({**card, "sha256": digests}, indent=1, allow_nan=False)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in {card_name: text.encode(), **members}.items():
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return buffer.getvalue()
