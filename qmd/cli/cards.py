"""Output of `qmd potential list` and `qmd potential info`."""

import json
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from typing import get_args

from qmd.circuits.instances import circuits
from qmd.forces.catalogue import distribution_of, installed, read_shipped
from qmd.forces.config import PotentialConfig
from qmd.forces.other_molecules import warning
from qmd.potentials import (
    Committee,
    ManyBody,
    Model,
    OnAtoms,
    Package,
    PerAtomSum,
    Scaled,
    Sum,
    Switched,
    families,
    shipped,
    spc_fw,
)

KINDS = tuple(
    get_args(config.model_fields["kind"].annotation)[0] for config in get_args(PotentialConfig)
)
"""Kinds of potential that an input can describe, `potential: {kind: ...}`."""


def table() -> str:
    """Return one line for each potential with a name, then the kinds that have no name."""
    rows = [("name", "kind", "atoms", "qubits", "layers", "energies in", "description")]
    for name in shipped():
        package = read_shipped(name)
        parts = circuits(package)
        qubits = "+".join(str(part.n_qubits) for part in parts)
        layers = "+".join(str(part.n_layers) for part in parts)
        species = "any of " * bool(package.elements)
        species += ",".join(package.elements or package.species)
        rows.append((name, "trained", species, qubits, layers, "eV", package.description))
    for name, water in spc_fw.BY_NAME.items():
        rows.append((name, "classical", "O,H,H,...", "", "", "eV", f"any waters; {water.citation}"))
    for name, points in sorted(installed().items()):
        rows.append((name, "installed", "", "", "", "", _origin(name, points)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([*lines, "", f"Described in an input, by kind: {', '.join(KINDS)}."])


def _origin(name: str, points: list[EntryPoint]) -> str:
    origin = " and ".join(sorted(map(distribution_of, points)))
    if name in (*shipped(), *spc_fw.BY_NAME):
        return f"from {origin}, hidden by the one above"
    return f"from {origin}" + (", which both claim it" if len(points) > 1 else "")


def card(package: Package) -> str:
    """Return the information that a user needs before trusting a potential."""
    domain = [
        f"{package.species[i]}{i + 1}-{package.species[j]}{j + 1}: {low:.2f} to {high:.2f} A in "
        f"the data; runs stop outside {stop_low:.2f} to {stop_high:.2f} A"
        for (i, j), (low, high), (stop_low, stop_high) in zip(
            package.domain.pairs, package.domain.warn, package.domain.stop, strict=True
        )
    ]
    rows = {
        "name": package.name,
        "description": package.description,
        "elements": f"any number of atoms of {', '.join(package.elements)}"
        if package.elements
        else "",
        "atoms, in order": _atoms(package.species),
        "also serves": "\n".join(_also_served(package)),
        "warning": warning(package),
        "model": "\n".join(_outline(package.model)),
        "units": "eV, angstrom",
        "energy zero": f"{package.reference_energy_eV:.6f} eV of the labels"
        if package.training
        else "",
        "domain": "\n".join(domain),
        "training": json.dumps(dict(package.training), indent=2) if package.training else "",
        "citation": package.citation,
        "licence": package.licence,
        "sha256": package.sha256,
    }
    rows = {
        key: value for key, value in rows.items() if value
    }  # untrained potentials have fewer rows
    width = max(map(len, rows))
    return "\n".join(
        f"{key:{width}}  " + value.replace("\n", "\n" + " " * (width + 2))
        for key, value in rows.items()
    )


def _also_served(package: Package) -> Iterator[str]:
    yield from (", ".join(variant.species) for variant in package.variants)
    if package.variants and package.known_elements:
        yield f"other molecules of {', '.join(package.known_elements)}, on which it was not trained"


def _atoms(species: tuple[str, ...], limit: int = 30) -> str:
    """Return the symbols of all atoms, or of the first ones with the number of all."""
    if len(species) <= limit:
        return ", ".join(species)
    return f"{', '.join(species[:limit])}, ... ({len(species)} atoms)"


def _outline(model: Model) -> list[str]:
    """Return the tree of a model, one line per node, with branches indented."""
    below: tuple[Model, ...]
    match model:
        case Sum():
            head, below = "sum of", model.terms
        case ManyBody():
            head = f"{model.n_molecules} molecules, each and in pairs"
            below = model.monomer, model.pair
        case Switched():
            i, j = (atom + 1 for atom in model.between)
            head = f"switched off from {model.inner:g} to {model.outer:g} A of atoms {i} and {j}"
            below = (model.model,)
        case OnAtoms():
            head = f"on atoms {', '.join(str(atom + 1) for atom in model.atoms)}"
            below = (model.model,)
        case Scaled():
            head, below = f"{model.factor:g} times", (model.model,)
        case PerAtomSum():
            head, below = f"each of {model.n_atoms} atoms, by its kind", model.models
        case Committee():
            head, below = f"mean of {len(model.members)}", model.members
        case _:
            return [_leaf(model)]
    return [head, *(f"  {line}" for node in below for line in _outline(node))]


def _leaf(leaf: families.Leaf) -> str:
    n, description = families.n_parameters(leaf), families.family_of(leaf).describe(leaf)
    return f"{description}, {n} trained parameters" if n else description
