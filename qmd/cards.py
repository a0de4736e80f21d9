"""What `qmd potential list` and `qmd potential info` print."""

import json

import numpy as np

from qmd.build import load_package
from qmd.potentials import SHIPPED, Package, shipped


def table() -> str:
    """One line for each shipped potential."""
    packages = [load_package(name, SHIPPED) for name in shipped()]
    width = max((len(p.name) for p in packages), default=4)
    lines = [f"{'name':{width}}  atoms      qubits  layers  energies in  description"]
    lines += [
        f"{p.name:{width}}  {','.join(p.species):9}  {p.architecture.circuit.n_qubits:6}"
        f"  {p.architecture.circuit.n_layers:6}  {'eV':11}  {p.description}"
        for p in packages
    ]
    return "\n".join(lines)


def card(package: Package) -> str:
    """Everything a user wants to know before trusting a potential."""
    circuit = package.architecture.circuit
    n_parameters = sum(np.asarray(values).size for values in package.parameters)
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
        "circuit": f"{circuit.n_qubits} qubits, {circuit.n_layers} layers, "
        f"{n_parameters} trained numbers",
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
