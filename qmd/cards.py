"""What `qmd potential list` and `qmd potential info` print."""

import json

import numpy as np

from qmd.build import load_package
from qmd.parts import circuits
from qmd.potentials import (
    SHIPPED,
    ManyBody,
    Model,
    OnAtoms,
    Package,
    Quantum,
    ShortRangeWall,
    Sum,
    Switched,
    Vqlm,
    WaterBaseline,
    shipped,
)


def table() -> str:
    """One line for each shipped potential."""
    packages = [load_package(name, SHIPPED) for name in shipped()]
    width = max((len(p.name) for p in packages), default=4)
    lines = [f"{'name':{width}}  atoms        qubits  layers  energies in  description"]
    for package in packages:
        parts = circuits(package)
        qubits = "+".join(str(part.n_qubits) for part in parts)
        layers = "+".join(str(part.n_layers) for part in parts)
        lines.append(
            f"{package.name:{width}}  {','.join(package.species):11}  {qubits:>6}  {layers:>6}"
            f"  {'eV':11}  {package.description}"
        )
    return "\n".join(lines)


def card(package: Package) -> str:
    """Everything a user wants to know before trusting a potential."""
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
        "atoms, in order": ", ".join(package.species),
        "model": "\n".join(_outline(package.model)),
        "units": "eV, angstrom",
        "energy zero": f"{package.reference_energy_eV:.6f} eV of the labels",
        "domain": "\n".join(domain),
        "training": json.dumps(dict(package.training), indent=2),
        "citation": package.citation,
        "licence": package.licence,
        "sha256": package.sha256,
    }
    width = max(map(len, rows))
    return "\n".join(
        f"{key:{width}}  " + value.replace("\n", "\n" + " " * (width + 2))
        for key, value in rows.items()
    )


def _outline(model: Model) -> list[str]:
    """The tree of a model, one line a node, branches indented."""
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
        case ShortRangeWall():
            return [f"wall at short range: {len(model.pairs)} pairs"]
        case Quantum() | WaterBaseline() | Vqlm():
            return [_trained(model)]
    return [head, *(f"  {line}" for node in below for line in _outline(node))]


def _trained(leaf: Quantum | WaterBaseline | Vqlm) -> str:
    match leaf:
        case Quantum():
            circuit = leaf.architecture.circuit
            head = f"circuit: {circuit.n_qubits} qubits, {circuit.n_layers} layers"
        case WaterBaseline():
            head = "charges, repulsion and dispersion of two waters"
        case Vqlm():
            head = f"generic circuit: {leaf.n_qubits} qubits, {leaf.n_layers} layers"
    n = sum(np.asarray(values).size for values in leaf.parameters)
    return f"{head}, {n} trained numbers"
