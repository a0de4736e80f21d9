"""Architectures as plain JSON values, and back.

What comes back may be a stranger's: each value must have exactly the expected type, a kind is one
of those built in, and nothing is looked up by name.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from .circuit import Circuit, Encode, Heisenberg, Observable, Pair, RotationZ
from .features import LinearVectors
from .model import Architecture


def architecture_to_json(architecture: Architecture) -> dict[str, Any]:
    """Features and circuit as plain JSON values; gates in the order in which they act."""
    circuit, features = architecture.circuit, architecture.features
    return {
        "features": {
            "kind": "linear_vectors",
            "weights": [list(row) for row in features.weights],
            "scale_index": list(features.scale_index),
        },
        "circuit": {
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
        },
        "head": {"kind": "linear"},
    }


def architecture_from_json(data: Mapping[str, Any]) -> Architecture:
    """The inverse of `architecture_to_json`.

    Raises
    ------
    ValueError, KeyError, TypeError, OverflowError
        If a kind is unknown, or a value is missing, of another type, or does not fit.
    """
    kinds = (data["features"]["kind"], data["head"]["kind"])
    if kinds != ("linear_vectors", "linear"):
        raise ValueError(f"features and head {kinds} are unknown to this version")
    circuit = data["circuit"]
    features = LinearVectors(
        weights=tuple(tuple(number(w) for w in row) for row in data["features"]["weights"]),
        scale_index=_integers(data["features"]["scale_index"]),
    )
    return Architecture(
        features,
        Circuit(
            n_qubits=integer(circuit["n_qubits"]),
            n_layers=integer(circuit["n_layers"]),
            singlets=_pairs(circuit["singlets"]),
            encoding=tuple(
                Encode(integer(g["vector"]), integer(g["qubit"])) for g in circuit["encoding"]
            ),
            layer=tuple(_gate(g) for g in circuit["layer"]),
            observables=tuple(
                Observable(_pairs(o["pairs"]), _boolean(o["with_ancilla"]))
                for o in circuit["observables"]
            ),
            ancilla=None if circuit["ancilla"] is None else integer(circuit["ancilla"]),
        ),
    )


def _gate(data: Mapping[str, Any]) -> Heisenberg | RotationZ:
    if data["gate"] == "heisenberg":
        return Heisenberg(integer(data["coupling"]), _pairs(data["pairs"]))
    if data["gate"] == "rz":
        return RotationZ(integer(data["coupling"]), _integers(data["qubits"]))
    raise ValueError(f"gate {data['gate']!r} is unknown to this version")


def _pairs(values: Iterable[Iterable[Any]]) -> tuple[Pair, ...]:
    return tuple((integer(p), integer(q)) for p, q in values)


def _integers(values: Iterable[Any]) -> tuple[int, ...]:
    return tuple(integer(value) for value in values)


def integer(value: Any) -> int:
    """`value` if it is an integer; TypeError for anything else, True and 1.0 too."""
    if type(value) is not int:
        raise TypeError(f"expected an integer, but found {value!r}")
    return value


def number(value: Any) -> float:
    """`value` as a float; TypeError for anything but a number."""
    if type(value) not in (int, float):
        raise TypeError(f"expected a number, but found {value!r}")
    return float(value)


def _boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise TypeError(f"expected true or false, but found {value!r}")
    return value
