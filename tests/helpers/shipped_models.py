"""The shipped models, with a structure of each from which runs begin, and figures kept of them."""

import hashlib
import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ase.data import atomic_masses, atomic_numbers
from scipy.optimize import minimize

from qmd.io.structure import load_system
from qmd.potentials import evaluate, find, load
from qmd.system.system import System

RUNS = Path(__file__).parents[2] / "runs"
RESULTS = Path(__file__).parents[1] / "results"
"""Figures that long commands have kept: the same command goes on with them."""


class Shipped(NamedTuple):
    """A shipped package on one molecule, at a minimum of its energy."""

    label: str
    name: str
    package: Any
    system: System
    confinement: dict[str, float] | None


STRUCTURES = {
    "sivqlm-lih": ("sivqlm-lih", "lih"),
    "sivqlm-h2o": ("sivqlm-h2o", "h2o"),
    "sivqlm-h2o-dimer": ("sivqlm-h2o-dimer", "h2o-dimer"),
    "qnn-ethanol": ("qnn-ethanol", str(RUNS / "ethanol-nve" / "ethanol.xyz")),
    "qnn-malonaldehyde": ("qnn-malonaldehyde", None),
    "qnn-benzene": ("qnn-benzene", str(RUNS / "benzene-nve" / "benzene.xyz")),
    "qnn-aspirin": ("qnn-aspirin", None),
    "qnn-organic, ethanol": ("qnn-organic", str(RUNS / "ethanol-nve" / "ethanol.xyz")),
    "qnn-organic, malonaldehyde": ("qnn-organic", None),
    "qnn-organic, benzene": ("qnn-organic", str(RUNS / "benzene-nve" / "benzene.xyz")),
}
"""Package and structure of each row of the tables; None: a test geometry of a package, that of
`qnn-malonaldehyde` if the package serves several molecules."""
DIMER_SPHERE = {"radius_A": 4.5, "stiffness_eV_per_A3": 1.0}
"""Keeps two waters together: apart they leave the domain, as they should."""


@cache
def shipped(label: str) -> Shipped:
    """Return a shipped package on its molecule.

    Parameters
    ----------
    label : str
        Key of `STRUCTURES`.
    """
    name, structure = STRUCTURES[label]
    package = load(find(name))
    if structure is None:
        first = load(find("qnn-malonaldehyde" if package.variants else name))
        numbers = np.array([atomic_numbers[symbol] for symbol in first.species])
        masses = atomic_masses[numbers]
        system = System(numbers, first.test_positions[0], masses, None, first.name)
    else:
        system = load_system(structure, ".")
    package = package.on(tuple(system.symbols))
    relaxed = replace(system, positions=_minimum(package.native(), system.positions))
    return Shipped(label, name, package, relaxed, DIMER_SPHERE if "dimer" in label else None)


def _minimum(force: Any, positions: Any) -> Any:
    """Return a minimum of the energy near these positions (n, 3), in angstrom."""

    def energy_and_slope(x: Any) -> Any:
        energy, forces = evaluate(force, x.reshape(-1, 3))
        return energy, -forces.ravel()

    found = minimize(energy_and_slope, positions.ravel(), jac=True, method="BFGS",
                     options={"gtol": 1e-6, "maxiter": 1000})  # fmt: skip
    return found.x.reshape(-1, 3)


@cache
def digest(label: str) -> str:
    """Return the first digits of the SHA-256 of the package of a model, a key of `STRUCTURES`."""
    return hashlib.sha256(Path(find(STRUCTURES[label][0])).read_bytes()).hexdigest()[:16]


def kept(path: Path) -> dict[str, Any]:
    """Return the figures of a file that belong to the packages of today.

    Parameters
    ----------
    path : Path
        File in JSON: a record of each key, which begins with a key of `STRUCTURES`; its `package`
        is the `digest`. Without the file, nothing is kept.
    """
    found = json.loads(path.read_text()) if path.exists() else {}
    return {key: one for key, one in found.items() if one.get("package") == digest(_label(key))}


def save(path: Path, found: dict[str, Any]) -> None:
    """Write figures to a file that `kept` reads, with the digest of their package."""
    for key, one in found.items():
        one["package"] = digest(_label(key))
    path.parent.mkdir(exist_ok=True)
    path.with_suffix(".tmp").write_text(json.dumps(found, indent=1) + "\n")
    path.with_suffix(".tmp").rename(path)


def _label(key: str) -> str:
    """Return the model that a key begins with."""
    return max((label for label in STRUCTURES if key.startswith(label)), key=len)
