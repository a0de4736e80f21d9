"""JSON form of features and circuits."""

from collections.abc import Mapping
from typing import Any

from ..json_values import boolean, integer, integers, number, pairs, ranges
from .architecture import Architecture
from .circuit import Circuit, Encode, Heisenberg, Observable, RotationZ
from .features import Entry, Features, LinearVectors, VectorDensities


def architecture_to_json(architecture: Architecture) -> dict[str, Any]:
    """Return features and circuit as plain JSON values, with gates in the order of their action."""
    return {
        "features": _features_to_json(architecture.features),
        "circuit": circuit_to_json(architecture.circuit),
        "head": {"kind": "linear"},
    }


def architecture_from_json(data: Mapping[str, Any]) -> Architecture:
    """Return the architecture of plain JSON values; the inverse of `architecture_to_json`.

    Raises
    ------
    ValueError, KeyError, TypeError, OverflowError
        If a kind is unknown, or a value is missing, of another type, or does not fit.
    """
    if data["head"]["kind"] != "linear":
        raise ValueError(f"head {data['head']['kind']!r} is unknown to this version")
    return Architecture(_features_from_json(data["features"]), circuit_from_json(data["circuit"]))


def circuit_to_json(circuit: Circuit) -> dict[str, Any]:
    """Return a circuit as plain JSON values."""
    return {
        "n_qubits": circuit.n_qubits,
        "n_layers": circuit.n_layers,
        "ancilla": circuit.ancilla,
        "singlets": [list(p) for p in circuit.singlets],
        "encoding": [gate._asdict() for gate in circuit.encoding],
        "layer": [
            {"gate": "heisenberg", "coupling": g.coupling, "pairs": [list(p) for p in g.pairs]}
            if isinstance(g, Heisenberg)
            else {"gate": "rz", "coupling": g.coupling, "qubits": list(g.qubits)}
            for g in circuit.layer
        ],
        "observables": [
            {"pairs": [list(p) for p in o.pairs], "with_ancilla": o.with_ancilla}
            for o in circuit.observables
        ],
    }


def circuit_from_json(circuit: Mapping[str, Any]) -> Circuit:
    """The inverse of `circuit_to_json`; errors as for `architecture_from_json`."""
    return Circuit(
        n_qubits=integer(circuit["n_qubits"]),
        n_layers=integer(circuit["n_layers"]),
        singlets=pairs(circuit["singlets"]),
        encoding=tuple(
            Encode(integer(g["vector"]), integer(g["qubit"])) for g in circuit["encoding"]
        ),
        layer=tuple(_gate(g) for g in circuit["layer"]),
        observables=tuple(
            Observable(pairs(o["pairs"]), boolean(o["with_ancilla"]))
            for o in circuit["observables"]
        ),
        ancilla=None if circuit["ancilla"] is None else integer(circuit["ancilla"]),
    )


def _gate(data: Mapping[str, Any]) -> Heisenberg | RotationZ:
    if data["gate"] == "heisenberg":
        return Heisenberg(integer(data["coupling"]), pairs(data["pairs"]))
    if data["gate"] == "rz":
        return RotationZ(integer(data["coupling"]), integers(data["qubits"]))
    raise ValueError(f"gate {data['gate']!r} is unknown to this version")


def _features_to_json(features: Features) -> dict[str, Any]:
    if isinstance(features, LinearVectors):
        return {
            "kind": "linear_vectors",
            "weights": [list(row) for row in features.weights],
            "scale_index": list(features.scale_index),
        }
    return {
        "kind": "vector_densities",
        "n_atoms": features.n_atoms,
        "entries": [list(entry) for entry in features.entries],
        "ranges_A": [list(pair) for pair in features.ranges],
        "n_radial": features.n_radial,
        "cutoff_A": features.cutoff,
    }


def _features_from_json(data: Mapping[str, Any]) -> Features:
    if data["kind"] == "linear_vectors":
        return LinearVectors(
            weights=tuple(tuple(number(w) for w in row) for row in data["weights"]),
            scale_index=integers(data["scale_index"]),
        )
    if data["kind"] == "vector_densities":
        return VectorDensities(
            n_atoms=integer(data["n_atoms"]),
            entries=tuple(Entry(*integers(entry)) for entry in data["entries"]),
            ranges=ranges(data["ranges_A"]),
            n_radial=integer(data["n_radial"]),
            cutoff=number(data["cutoff_A"]),
        )
    raise ValueError(f"features {data['kind']!r} are unknown to this version")
