"""A package as model.json and arrays, and back."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..json_values import integer, number
from .domain import Domain
from .json_form import model_from_json, model_to_json
from .package import Package, PackageError, Variant

SCHEMA = 2
UNITS = {"energy": "eV", "length": "angstrom", "forces": "eV/angstrom", "angles": "rad"}


def from_json(
    model: dict[str, Any],
    parameters: dict[str, np.ndarray],
    vectors: dict[str, np.ndarray],
    sha256: str,
) -> Package:
    """Return the package of model.json and of its arrays."""
    if model["units"] != UNITS:
        raise PackageError(f"its units are {model['units']}, expected {UNITS}")
    return Package(
        name=model["name"],
        description=model["description"],
        species=tuple(model["species"]),
        model=model_from_json(model["model"], parameters),
        reference_energy_eV=number(model["reference_energy_eV"]),
        domain=_domain(model["domain"]),
        training=dict(model["training"]),
        citation=model["citation"],
        licence=model["licence"],
        test_positions=vectors["positions"],
        test_cells=vectors.get("cells"),
        elements=tuple(model.get("elements", ())),
        reference_energies_eV=tuple(
            (symbol, number(energy))
            for symbol, energy in dict(model.get("reference_energies_eV", {})).items()
        ),
        sha256=sha256,
        variants=tuple(
            Variant(
                species=tuple(variant["species"]),
                kinds=tuple(integer(kind) for kind in variant["kinds"]),
                reference_energy_eV=number(variant["reference_energy_eV"]),
                domain=_domain(variant["domain"]),
                test_positions=vectors[f"variants.{i}.positions"],
            )
            for i, variant in enumerate(model.get("variants", []))
        ),
    )


def _domain(bounds: Mapping[str, Any]) -> Domain:
    pairs = [(integer(i), integer(j)) for i, j in bounds["pairs"]]
    return Domain(
        pairs=np.array(pairs, np.int64).reshape(-1, 2),
        warn=_bounds(bounds["warn_A"]),
        stop=_bounds(bounds["stop_A"]),
    )


def _bounds(values: list[list[Any]]) -> np.ndarray:
    return np.array([(number(low), number(high)) for low, high in values], float).reshape(-1, 2)


def to_json(package: Package) -> dict[str, Any]:
    """Return what model.json says, but for the hashes of the other members."""
    return (
        {
            "format": "qmdp",
            "schema": SCHEMA,
            "name": package.name,
            "description": package.description,
            "species": list(package.species),
            "units": UNITS,
            "model": model_to_json(package.model),
            "reference_energy_eV": package.reference_energy_eV,
            "domain": domain_to_json(package.domain),
            "training": dict(package.training),
            "citation": package.citation,
            "licence": package.licence,
        }
        | ({"elements": list(package.elements)} if package.elements else {})
        | (
            {"reference_energies_eV": dict(package.reference_energies_eV)}
            if package.reference_energies_eV
            else {}
        )
        | (
            {
                "variants": [
                    {
                        "species": list(variant.species),
                        "kinds": list(variant.kinds),
                        "reference_energy_eV": variant.reference_energy_eV,
                        "domain": domain_to_json(variant.domain),
                    }
                    for variant in package.variants
                ]
            }
            if package.variants
            else {}
        )
    )


def domain_to_json(domain: Domain) -> dict[str, Any]:
    """Return the pairs of a domain and their bounds."""
    return {
        "pairs": domain.pairs.tolist(),
        "warn_A": domain.warn.tolist(),
        "stop_A": domain.stop.tolist(),
    }
