"""Families of classical terms."""

import math
from typing import Any

from ..family import Family, deferred
from ..json_values import (
    Field,
    boolean,
    fields,
    integer,
    integers,
    number,
    numbers,
    pairs,
    triples,
)
from .ewald import EwaldCharges
from .molecular import HarmonicAngles, HarmonicBonds, LennardJones, MorseBonds, PointCharges
from .truncated import TRUNCATIONS, TruncatedLennardJones, Truncation
from .walls import ShortRangeWall, SphericalWall
from .water import BaselineParameters, WaterBaseline

_N_ATOMS = Field("n_atoms", "n_atoms", integer)
_BONDS = (_N_ATOMS, Field("bonds", "bonds", pairs))


def _morse_bonds(leaf: MorseBonds) -> str:
    numbers = f"{leaf.depth:g} eV, {leaf.steepness:g} 1/A, {leaf.length:g} A"
    return f"Morse bonds: {len(leaf.bonds)}, {numbers}"


def _harmonic_bonds(leaf: HarmonicBonds) -> str:
    numbers = f"{leaf.stiffness:g} eV/A^2, {leaf.length:g} A"
    return f"harmonic bonds: {len(leaf.bonds)}, {numbers}"


def _harmonic_angles(leaf: HarmonicAngles) -> str:
    numbers = f"{leaf.stiffness:g} eV/rad^2, {math.degrees(leaf.angle):g} degrees"
    return f"harmonic angles: {len(leaf.angles)}, {numbers}"


def _lennard_jones(leaf: LennardJones) -> str:
    numbers = f"{leaf.depth:g} eV, {leaf.diameter:g} A"
    return f"Lennard-Jones between {len(leaf.atoms)} atoms, {numbers}"


def _truncated(leaf: TruncatedLennardJones) -> str:
    numbers = f"{leaf.depth:g} eV, {leaf.diameter:g} A"
    end = f"{leaf.truncation.replace('_', ' ')} at {leaf.cutoff:g} A"
    tail = ", tail corrections" if leaf.tail else ""
    return f"Lennard-Jones of {leaf.n_atoms} atoms, {numbers}, {end}{tail}"


def _truncation(value: Any) -> Truncation:
    if value not in TRUNCATIONS:
        raise ValueError(f"expected a truncation, but found {value!r}")
    return value  # type: ignore[no-any-return]


def _point_charges(leaf: PointCharges) -> str:
    charges = ", ".join(f"{charge:g}" for charge in sorted(set(leaf.charges)))
    return f"point charges of {len(set(leaf.molecules))} molecules: {charges} e"


def _ewald_charges(leaf: EwaldCharges) -> str:
    charges = ", ".join(f"{charge:g}" for charge in sorted(set(leaf.charges)))
    sums = f"pairs to {leaf.cutoff:g} A, waves to {leaf.wave:g} per A"
    return f"Ewald sums of {len(set(leaf.molecules))} molecules: {charges} e, {sums}"


FAMILIES = (
    Family(
        kind="water_baseline",
        leaf=WaterBaseline,
        json=fields(),
        parameters=BaselineParameters,
        describe=lambda leaf: "charges, repulsion and dispersion of two waters",
        jax_energy=deferred(__package__, "jax_energy.water_energy"),
        native=deferred(__package__, "native.baseline_kernel"),
    ),
    Family(
        kind="short_range_wall",
        leaf=ShortRangeWall,
        json=fields(
            Field("pairs", "pairs", pairs),
            Field("onsets_A", "onsets", numbers),
            Field("stiffness_eV_per_A3", "stiffness", number),
        ),
        describe=lambda leaf: f"wall at short range: {len(leaf.pairs)} pairs",
        jax_energy=deferred(__package__, "jax_energy.wall_energy"),
        native=deferred(__package__, "native.wall_kernel"),
    ),
    Family(
        kind="spherical_wall",
        leaf=SphericalWall,
        json=fields(
            _N_ATOMS,
            Field("radius_A", "radius", number),
            Field("stiffness_eV_per_A3", "stiffness", number),
        ),
        describe=lambda leaf: f"sphere of {leaf.radius:g} A",
        jax_energy=deferred(__package__, "jax_energy.sphere_energy"),
        native=deferred(__package__, "native.sphere_kernel"),
    ),
    Family(
        kind="morse_bonds",
        leaf=MorseBonds,
        json=fields(
            *_BONDS,
            Field("depth_eV", "depth", number),
            Field("steepness_per_A", "steepness", number),
            Field("length_A", "length", number),
        ),
        describe=_morse_bonds,
        jax_energy=deferred(__package__, "jax_energy.morse_energy"),
        native=deferred(__package__, "molecular_native.morse_kernel"),
    ),
    Family(
        kind="harmonic_bonds",
        leaf=HarmonicBonds,
        json=fields(
            *_BONDS,
            Field("stiffness_eV_per_A2", "stiffness", number),
            Field("length_A", "length", number),
        ),
        describe=_harmonic_bonds,
        jax_energy=deferred(__package__, "jax_energy.bonds_energy"),
        native=deferred(__package__, "molecular_native.bonds_kernel"),
    ),
    Family(
        kind="harmonic_angles",
        leaf=HarmonicAngles,
        json=fields(
            _N_ATOMS,
            Field("angles", "angles", triples),
            Field("stiffness_eV_per_rad2", "stiffness", number),
            Field("angle_rad", "angle", number),
        ),
        describe=_harmonic_angles,
        jax_energy=deferred(__package__, "jax_energy.angles_energy"),
        native=deferred(__package__, "molecular_native.angles_kernel"),
    ),
    Family(
        kind="lennard_jones",
        leaf=LennardJones,
        json=fields(
            _N_ATOMS,
            Field("atoms", "atoms", integers),
            Field("depth_eV", "depth", number),
            Field("diameter_A", "diameter", number),
        ),
        describe=_lennard_jones,
        jax_energy=deferred(__package__, "jax_energy.lennard_jones_energy"),
        native=deferred(__package__, "molecular_native.lennard_jones_kernel"),
    ),
    Family(
        kind="truncated_lennard_jones",
        leaf=TruncatedLennardJones,
        json=fields(
            _N_ATOMS,
            Field("depth_eV", "depth", number),
            Field("diameter_A", "diameter", number),
            Field("cutoff_A", "cutoff", number),
            Field("truncation", "truncation", _truncation),
            Field("inner_A", "inner", number),
            Field("tail", "tail", boolean),
            Field("skin_A", "skin", number),
        ),
        describe=_truncated,
        jax_energy=deferred(__package__, "jax_energy.truncated_energy"),
        jax_in_cell=deferred(__package__, "jax_energy.truncated_in_cell"),
        cutoff=lambda leaf: leaf.cutoff,
        native=deferred(__package__, "truncated_native.truncated_kernel"),
    ),
    Family(
        kind="point_charges",
        leaf=PointCharges,
        json=fields(
            Field("charges_e", "charges", numbers), Field("molecules", "molecules", integers)
        ),
        describe=_point_charges,
        jax_energy=deferred(__package__, "jax_energy.charges_energy"),
        native=deferred(__package__, "molecular_native.charges_kernel"),
    ),
    Family(
        kind="ewald_charges",
        leaf=EwaldCharges,
        json=fields(
            Field("charges_e", "charges", numbers),
            Field("molecules", "molecules", integers),
            Field("cutoff_A", "cutoff", number),
            Field("splitting_per_A", "splitting", number),
            Field("wave_per_A", "wave", number),
            Field("skin_A", "skin", number),
        ),
        describe=_ewald_charges,
        jax_energy=deferred(__package__, "jax_energy.ewald_energy"),
        native=deferred(__package__, "ewald_native.ewald_kernel"),
    ),
)
