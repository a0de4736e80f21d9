"""Trees of potentials as plain JSON values and arrays, and back.

What comes back may be a stranger's: each value must have exactly the expected type, a kind is one
of those built in, and nothing is looked up by name. Arrays are stored apart, by the names of
`tree.named_parameters`.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from .circuit import Circuit, Encode, Heisenberg, Observable, Pair, RotationZ
from .classical import BaselineParameters, ShortRangeWall, SphericalWall, WaterBaseline
from .features import Entry, Features, LinearVectors, VectorDensities
from .model import Architecture, Parameters
from .molecular import HarmonicAngles, HarmonicBonds, LennardJones, MorseBonds, PointCharges
from .network import Network, NetworkParameters
from .perceptron import Perceptron, PerceptronParameters
from .polynomial import InvariantPolynomial, PolynomialParameters
from .tree import (
    AtomCentred,
    Committee,
    Leaf,
    ManyBody,
    Model,
    OnAtoms,
    Quantum,
    Scaled,
    Sum,
    Switched,
    named_parameters,
)
from .vqlm import Vqlm, VqlmParameters


def model_to_json(model: Model) -> dict[str, Any]:
    """A tree without its arrays as plain JSON values."""
    match model:
        case Quantum():
            return {"kind": "quantum"} | architecture_to_json(model.architecture)
        case Vqlm():
            return {
                "kind": "vqlm",
                "coordinates": [list(atoms) for atoms in model.coordinates],
                "ranges": [list(pair) for pair in model.ranges],
                "n_layers": model.n_layers,
            }
        case InvariantPolynomial():
            return {
                "kind": "invariant_polynomial",
                "like": [list(atoms) for atoms in model.like],
                "degree": model.degree,
                "centres_A": list(model.centres),
            }
        case WaterBaseline():
            return {"kind": "water_baseline"}
        case ShortRangeWall():
            return {
                "kind": "short_range_wall",
                "pairs": [list(pair) for pair in model.pairs],
                "onsets_A": list(model.onsets),
                "stiffness_eV_per_A3": model.stiffness,
            }
        case SphericalWall():
            return {
                "kind": "spherical_wall",
                "n_atoms": model.n_atoms,
                "radius_A": model.radius,
                "stiffness_eV_per_A3": model.stiffness,
            }
        case MorseBonds():
            return {
                "kind": "morse_bonds",
                "n_atoms": model.n_atoms,
                "bonds": [list(pair) for pair in model.bonds],
                "depth_eV": model.depth,
                "steepness_per_A": model.steepness,
                "length_A": model.length,
            }
        case HarmonicBonds():
            return {
                "kind": "harmonic_bonds",
                "n_atoms": model.n_atoms,
                "bonds": [list(pair) for pair in model.bonds],
                "stiffness_eV_per_A2": model.stiffness,
                "length_A": model.length,
            }
        case HarmonicAngles():
            return {
                "kind": "harmonic_angles",
                "n_atoms": model.n_atoms,
                "angles": [list(triple) for triple in model.angles],
                "stiffness_eV_per_rad2": model.stiffness,
                "angle_rad": model.angle,
            }
        case LennardJones():
            return {
                "kind": "lennard_jones",
                "n_atoms": model.n_atoms,
                "atoms": list(model.atoms),
                "depth_eV": model.depth,
                "diameter_A": model.diameter,
            }
        case PointCharges():
            return {
                "kind": "point_charges",
                "charges_e": list(model.charges),
                "molecules": list(model.molecules),
            }
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
        case Network():
            return {
                "kind": "network",
                "kinds": list(model.kinds),
                "circuit": _circuit_to_json(model.circuit),
                "first_A": model.first,
                "cutoff_A": model.cutoff,
            }
        case Perceptron():
            return {
                "kind": "perceptron",
                "kinds": list(model.kinds),
                "first_A": model.first,
                "cutoff_A": model.cutoff,
            }
        case AtomCentred():
            return {
                "kind": "atom_centred",
                "kinds": list(model.kinds),
                "models": [model_to_json(one) for one in model.models],
            }


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
            return AtomCentred(_integers(data["kinds"]), each)
        case _:
            return _leaf_from_json(data, lambda fields: [arrays[prefix + f] for f in fields])


def model_sha256(model: Model) -> str:
    """SHA-256 of a tree and its arrays: equal for equal potentials."""
    digest = hashlib.sha256(json.dumps(model_to_json(model), sort_keys=True).encode())
    for name, values in sorted(named_parameters(model).items()):
        digest.update(name.encode() + np.asarray(values, "<f8").tobytes())
    return digest.hexdigest()


def _leaf_from_json(
    data: Mapping[str, Any], parameters: Callable[[tuple[str, ...]], list[np.ndarray]]
) -> Leaf:
    match data["kind"]:
        case "quantum":
            trained = Parameters(*parameters(Parameters._fields))
            return Quantum(architecture_from_json(data), trained)
        case "network":
            return Network(
                kinds=_integers(data["kinds"]),
                circuit=_circuit_from_json(data["circuit"]),
                first=number(data["first_A"]),
                cutoff=number(data["cutoff_A"]),
                parameters=NetworkParameters(*parameters(NetworkParameters._fields)),
            )
        case "perceptron":
            return Perceptron(
                kinds=_integers(data["kinds"]),
                first=number(data["first_A"]),
                cutoff=number(data["cutoff_A"]),
                parameters=PerceptronParameters(*parameters(PerceptronParameters._fields)),
            )
        case "vqlm":
            return Vqlm(
                coordinates=tuple(_coordinate(atoms) for atoms in data["coordinates"]),
                ranges=_ranges(data["ranges"]),
                n_layers=integer(data["n_layers"]),
                parameters=VqlmParameters(*parameters(VqlmParameters._fields)),
            )
        case "invariant_polynomial":
            return InvariantPolynomial(
                like=tuple(_integers(atoms) for atoms in data["like"]),
                degree=integer(data["degree"]),
                centres=tuple(number(value) for value in data["centres_A"]),
                parameters=PolynomialParameters(*parameters(PolynomialParameters._fields)),
            )
        case "water_baseline":
            return WaterBaseline(BaselineParameters(*parameters(BaselineParameters._fields)))
        case "short_range_wall":
            return ShortRangeWall(
                pairs=_pairs(data["pairs"]),
                onsets=tuple(number(value) for value in data["onsets_A"]),
                stiffness=number(data["stiffness_eV_per_A3"]),
            )
        case "spherical_wall":
            return SphericalWall(
                n_atoms=integer(data["n_atoms"]),
                radius=number(data["radius_A"]),
                stiffness=number(data["stiffness_eV_per_A3"]),
            )
        case "morse_bonds":
            return MorseBonds(
                n_atoms=integer(data["n_atoms"]),
                bonds=_pairs(data["bonds"]),
                depth=number(data["depth_eV"]),
                steepness=number(data["steepness_per_A"]),
                length=number(data["length_A"]),
            )
        case "harmonic_bonds":
            return HarmonicBonds(
                n_atoms=integer(data["n_atoms"]),
                bonds=_pairs(data["bonds"]),
                stiffness=number(data["stiffness_eV_per_A2"]),
                length=number(data["length_A"]),
            )
        case "harmonic_angles":
            return HarmonicAngles(
                n_atoms=integer(data["n_atoms"]),
                angles=tuple(
                    (integer(i), integer(vertex), integer(k)) for i, vertex, k in data["angles"]
                ),
                stiffness=number(data["stiffness_eV_per_rad2"]),
                angle=number(data["angle_rad"]),
            )
        case "lennard_jones":
            return LennardJones(
                n_atoms=integer(data["n_atoms"]),
                atoms=_integers(data["atoms"]),
                depth=number(data["depth_eV"]),
                diameter=number(data["diameter_A"]),
            )
        case "point_charges":
            return PointCharges(
                charges=tuple(number(charge) for charge in data["charges_e"]),
                molecules=_integers(data["molecules"]),
            )
        case kind:
            raise ValueError(f"model {kind!r} is unknown to this version")


def _coordinate(atoms: Iterable[Any]) -> Any:
    return tuple(integer(atom) for atom in atoms)


def _ranges(values: Iterable[Iterable[Any]]) -> tuple[tuple[float, float], ...]:
    return tuple((number(low), number(high)) for low, high in values)


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
