"""Conversion of trees of potentials to plain JSON values and arrays, and back.

A file may come from a stranger: each value must have exactly the expected type, a kind must be one
of those built in, and nothing is looked up by name. Arrays are stored separately, by the names of
`tree.named_parameters`.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..families import family_named, family_of
from ..json_values import integer, integers, number, pairs
from ..tree.nodes import Committee, ManyBody, Model, OnAtoms, PerAtomSum, Scaled, Sum, Switched
from ..tree.walk import named_parameters


def model_to_json(model: Model) -> dict[str, Any]:
    """Return a tree without its arrays as plain JSON values."""
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
        case _:
            family = family_of(model)
            return {"kind": family.kind} | family.json.write(model)


def model_from_json(
    data: Mapping[str, Any], arrays: Mapping[str, np.ndarray], name: str = ""
) -> Model:
    """Return the tree of plain JSON values, with the arrays of `tree.named_parameters`.

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
            return OnAtoms(part(data["model"], "model"), integers(data["atoms"]))
        case "switched":
            (between,) = pairs([data["between"]])
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
            return PerAtomSum(integers(data["kinds"]), each)
        case _:
            family = family_named(data["kind"])
            values = family.json.read(data)
            if (parameters := family.parameters) is not None:
                optional = {f for f in parameters._field_defaults if prefix + f not in arrays}
                named = (f for f in parameters._fields if f not in optional)
                values["parameters"] = parameters(**{f: arrays[prefix + f] for f in named})
            leaf: Model = family.leaf(**values)
            return leaf


def model_sha256(model: Model) -> str:
    """Return the SHA-256 of a tree and its arrays, which is equal for equal potentials."""
    digest = hashlib.sha256(json.dumps(model_to_json(model), sort_keys=True).encode())
    for name, values in sorted(named_parameters(model).items()):
        digest.update(name.encode() + np.asarray(values, "<f8").tobytes())
    return digest.hexdigest()
