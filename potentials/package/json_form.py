"""Trees of potentials as plain JSON values and arrays, and back.

What comes back may be a stranger's: each value must have exactly the expected type, a kind is one
of those built in, and nothing is looked up by name. Arrays are stored apart, by the names of
`tree.named_parameters`.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..circuit.architecture import Architecture, Parameters, Quantum
from ..circuit.circuit import Circuit, Encode, Heisenberg, Observable, Pair, RotationZ
from ..circuit.features import Entry, Features, LinearVectors, VectorDensities
from ..classical.molecular import (
    HarmonicAngles,
    HarmonicBonds,
    LennardJones,
    MorseBonds,
    PointCharges,
)
from ..classical.walls import ShortRangeWall, SphericalWall
from ..classical.water import BaselineParameters, WaterBaseline
from ..network.network import AtomCentredNetwork, NetworkParameters
from ..network.perceptron import Perceptron, PerceptronParameters
from ..polynomial.polynomial import InvariantPolynomial, PolynomialParameters
from ..tree.nodes import (
    Committee,
    Leaf,
    ManyBody,
    Model,
    OnAtoms,
    PerAtomSum,
    Scaled,
    Sum,
    Switched,
)
from ..tree.walk import named_parameters
from ..vqlm.vqlm import Vqlm, VqlmParameters


class _Leaf(NamedTuple):
    """How a leaf without parts is stored."""

    kind: str
    made: Any
    """Its class, called with its attributes."""
    fields: tuple[tuple[str, str, Callable[[Any], Any]], ...]
    """(name in JSON, with its unit; attribute; what reads it) of each."""
    parameters: Any = None
    """Class of its arrays, if it has any."""


def model_to_json(model: Model) -> dict[str, Any]:
    """A tree without its arrays as plain JSON values."""
    match model:
        case OnAtoms():
            return {
                "kind": "on_atoms",
                "model": model_to_json(model.model),
                "atoms": list(model.atoms),
            }
        case Switched():
            return {
                "kind": "switched",
                "model": model_to_json(model.model),
                "between": list(model.between),
                "inner_A": model.inner,
                "outer_A": model.outer,
            }
        case Scaled():
            return {
                "kind": "scaled",
                "model": model_to_json(model.model),
                "factor": model.factor,
            }
        case Sum():
            return {"kind": "sum", "terms": [model_to_json(term) for term in model.terms]}
        case Committee():
            return {"kind": "committee", "members": [model_to_json(m) for m in model.members]}
        case ManyBody():
            return {
                "kind": "many_body",
                "monomer": model_to_json(model.monomer),
                "pair": model_to_json(model.pair),
                "n_molecules": model.n_molecules,
            }
        case PerAtomSum():
            return {
                "kind": "atom_centred",
                "kinds": list(model.kinds),
                "models": [model_to_json(one) for one in model.models],
            }
        case Quantum():
            return {"kind": "quantum"} | architecture_to_json(model.architecture)
        case _:
            return _leaf_to_json(model)


def model_from_json(
    data: Mapping[str, Any], arrays: Mapping[str, np.ndarray], name: str = ""
) -> Model:
    """The inverse of `model_to_json`, with the arrays of `tree.named_parameters`.

    Raises
    ------
    ValueError, KeyError, TypeError, IndexError, OverflowError
        If a kind is unknown, or a value is missing, of another type, or does not fit.
    """
    prefix = f"{name}." if name else ""

    def part(child: Mapping[str, Any], label: str) -> Model:
        return model_from_json(child, arrays, prefix + label)

    match data["kind"]:
        case "on_atoms":
            return OnAtoms(part(data["model"], "model"), _integers(data["atoms"]))
        case "switched":
            (between,) = _pairs([data["between"]])
            inner, outer = number(data["inner_A"]), number(data["outer_A"])
            return Switched(part(data["model"], "model"), between, inner, outer)
        case "scaled":
            return Scaled(part(data["model"], "model"), number(data["factor"]))
        case "committee":
            members = enumerate(data["members"])
            return Committee(tuple(part(member, f"members.{i}") for i, member in members))
        case "sum":
            return Sum(tuple(part(term, f"terms.{i}") for i, term in enumerate(data["terms"])))
        case "many_body":
            monomer, pair = part(data["monomer"], "monomer"), part(data["pair"], "pair")
            return ManyBody(monomer, pair, integer(data["n_molecules"]))
        case "atom_centred":
            models = enumerate(data["models"])
            each = tuple(part(one, f"models.{i}") for i, one in models)
            return PerAtomSum(_integers(data["kinds"]), each)
        case _:
            return _leaf_from_json(data, lambda fields: [arrays[prefix + f] for f in fields])


def model_sha256(model: Model) -> str:
    """SHA-256 of a tree and its arrays: equal for equal potentials."""
    digest = hashlib.sha256(json.dumps(model_to_json(model), sort_keys=True).encode())
    for name, values in sorted(named_parameters(model).items()):
        digest.update(name.encode() + np.asarray(values, "<f8").tobytes())
    return digest.hexdigest()


def _leaf_to_json(model: Leaf) -> dict[str, Any]:
    leaf = next(leaf for leaf in _LEAVES if isinstance(model, leaf.made))
    values = {name: _plain(getattr(model, attribute)) for name, attribute, _ in leaf.fields}
    return {"kind": leaf.kind} | values


def _leaf_from_json(
    data: Mapping[str, Any], parameters: Callable[[tuple[str, ...]], list[np.ndarray]]
) -> Leaf:
    if data["kind"] == "quantum":
        trained = Parameters(*parameters(Parameters._fields))
        return Quantum(architecture_from_json(data), trained)
    leaf = next((leaf for leaf in _LEAVES if leaf.kind == data["kind"]), None)
    if leaf is None:
        raise ValueError(f"model {data['kind']!r} is unknown to this version")
    values = {attribute: read(data[name]) for name, attribute, read in leaf.fields}
    if leaf.parameters is not None:
        values["parameters"] = leaf.parameters(*parameters(leaf.parameters._fields))
    made: Leaf = leaf.made(**values)
    return made


def _plain(value: Any) -> Any:
    """Tuples as lists, circuits as objects."""
    if isinstance(value, Circuit):
        return _circuit_to_json(value)
    return [_plain(part) for part in value] if isinstance(value, tuple) else value


def architecture_to_json(architecture: Architecture) -> dict[str, Any]:
    """Features and circuit as plain JSON values; gates in the order in which they act."""
    return {
        "features": _features_to_json(architecture.features),
        "circuit": _circuit_to_json(architecture.circuit),
        "head": {"kind": "linear"},
    }


def _circuit_to_json(circuit: Circuit) -> dict[str, Any]:
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


def architecture_from_json(data: Mapping[str, Any]) -> Architecture:
    """The inverse of `architecture_to_json`.

    Raises
    ------
    ValueError, KeyError, TypeError, OverflowError
        If a kind is unknown, or a value is missing, of another type, or does not fit.
    """
    if data["head"]["kind"] != "linear":
        raise ValueError(f"head {data['head']['kind']!r} is unknown to this version")
    return Architecture(_features_from_json(data["features"]), _circuit_from_json(data["circuit"]))


def _circuit_from_json(circuit: Mapping[str, Any]) -> Circuit:
    return Circuit(
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
    )


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
            scale_index=_integers(data["scale_index"]),
        )
    if data["kind"] == "vector_densities":
        return VectorDensities(
            n_atoms=integer(data["n_atoms"]),
            entries=tuple(Entry(*_integers(entry)) for entry in data["entries"]),
            ranges=_ranges(data["ranges_A"]),
            n_radial=integer(data["n_radial"]),
            cutoff=number(data["cutoff_A"]),
        )
    raise ValueError(f"features {data['kind']!r} are unknown to this version")


def _gate(data: Mapping[str, Any]) -> Heisenberg | RotationZ:
    if data["gate"] == "heisenberg":
        return Heisenberg(integer(data["coupling"]), _pairs(data["pairs"]))
    if data["gate"] == "rz":
        return RotationZ(integer(data["coupling"]), _integers(data["qubits"]))
    raise ValueError(f"gate {data['gate']!r} is unknown to this version")


def _ranges(values: Iterable[Iterable[Any]]) -> tuple[tuple[float, float], ...]:
    return tuple((number(low), number(high)) for low, high in values)


def _triples(values: Iterable[Iterable[Any]]) -> tuple[tuple[int, int, int], ...]:
    return tuple((integer(i), integer(vertex), integer(k)) for i, vertex, k in values)


def _lists(values: Iterable[Iterable[Any]]) -> tuple[tuple[int, ...], ...]:
    return tuple(_integers(row) for row in values)


def _numbers(values: Iterable[Any]) -> tuple[float, ...]:
    return tuple(number(value) for value in values)


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


_CENTRED = (
    ("kinds", "kinds", _integers),
    ("first_A", "first", number),
    ("cutoff_A", "cutoff", number),
)
_BONDS = (("n_atoms", "n_atoms", integer), ("bonds", "bonds", _pairs))
_LEAVES = (
    _Leaf(
        "network",
        AtomCentredNetwork,
        (_CENTRED[0], ("circuit", "circuit", _circuit_from_json), *_CENTRED[1:]),
        NetworkParameters,
    ),
    _Leaf("perceptron", Perceptron, _CENTRED, PerceptronParameters),
    _Leaf(
        "vqlm",
        Vqlm,
        (
            ("coordinates", "coordinates", _lists),
            ("ranges", "ranges", _ranges),
            ("n_layers", "n_layers", integer),
        ),
        VqlmParameters,
    ),
    _Leaf(
        "invariant_polynomial",
        InvariantPolynomial,
        (
            ("like", "like", _lists),
            ("degree", "degree", integer),
            ("centres_A", "centres", _numbers),
        ),
        PolynomialParameters,
    ),
    _Leaf("water_baseline", WaterBaseline, (), BaselineParameters),
    _Leaf(
        "short_range_wall",
        ShortRangeWall,
        (
            ("pairs", "pairs", _pairs),
            ("onsets_A", "onsets", _numbers),
            ("stiffness_eV_per_A3", "stiffness", number),
        ),
    ),
    _Leaf(
        "spherical_wall",
        SphericalWall,
        (
            ("n_atoms", "n_atoms", integer),
            ("radius_A", "radius", number),
            ("stiffness_eV_per_A3", "stiffness", number),
        ),
    ),
    _Leaf(
        "morse_bonds",
        MorseBonds,
        (
            *_BONDS,
            ("depth_eV", "depth", number),
            ("steepness_per_A", "steepness", number),
            ("length_A", "length", number),
        ),
    ),
    _Leaf(
        "harmonic_bonds",
        HarmonicBonds,
        (*_BONDS, ("stiffness_eV_per_A2", "stiffness", number), ("length_A", "length", number)),
    ),
    _Leaf(
        "harmonic_angles",
        HarmonicAngles,
        (
            ("n_atoms", "n_atoms", integer),
            ("angles", "angles", _triples),
            ("stiffness_eV_per_rad2", "stiffness", number),
            ("angle_rad", "angle", number),
        ),
    ),
    _Leaf(
        "lennard_jones",
        LennardJones,
        (
            ("n_atoms", "n_atoms", integer),
            ("atoms", "atoms", _integers),
            ("depth_eV", "depth", number),
            ("diameter_A", "diameter", number),
        ),
    ),
    _Leaf(
        "point_charges",
        PointCharges,
        (("charges_e", "charges", _numbers), ("molecules", "molecules", _integers)),
    ),
)
