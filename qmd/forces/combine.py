"""Sums and committees of potentials, as one tree if possible."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from qmd.forces.origin import UNBOUNDED_DOMAIN, PotentialOrigin
from qmd.forces.runnable import ForceSpread, RunnablePotential, isolated
from qmd.potentials import Committee, Domain, ManyBody, Model, Scaled, SphericalWall, Sum
from qmd.system.cell import ISOLATED
from qmd.typing import Array, EnergyAndForces, EnergyInCell

LONGEST_NAME = 200


def confined(potential: RunnablePotential, sphere: SphericalWall) -> RunnablePotential:
    """Return `potential` with the wall of a sphere; the record of the potential stays the same."""
    wall = RunnablePotential(potential.source, sphere, potential.backend)
    return replace(_added([potential, wall], [1.0, 1.0]), source=potential.source)


def weighted_sum(terms: Sequence[RunnablePotential], weights: Sequence[float]) -> RunnablePotential:
    """Return the weighted sum of potentials of the same atoms."""
    names = [
        part.source.name if weight == 1 else f"{weight:g} {part.source.name}"
        for part, weight in zip(terms, weights, strict=True)
    ]
    source = _joined("sum", " + ".join(names), [part.source for part in terms], weights)
    return replace(_added(terms, weights), source=source)


def committee(members: Sequence[RunnablePotential]) -> RunnablePotential:
    """Return the mean of potentials of the same atoms, with the spread of their forces."""
    sources = [member.source for member in members]
    name = f"mean of {', '.join(source.name for source in sources)}"
    shares = [1 / len(members)] * len(members)
    source = _joined("committee", name, sources, shares)
    methods = [_with_memory(member) for member in members]
    variance, models = _variance_of(methods), _trees(members)
    if models:
        return RunnablePotential(source, Committee(models), members[0].backend, variance=variance)
    both = _adding_in_cell(methods, shares)
    if any(member.in_cell is not None for member in members):
        return RunnablePotential(source, in_cell=both, variance=variance)
    return RunnablePotential(source, function=isolated(both), variance=variance)


def _with_memory(member: RunnablePotential) -> EnergyInCell:
    """Return a potential with a memory of its last result, which is reused at the same geometry.

    A row of the log then costs no calculation, and does not change the state of methods that
    remember earlier positions, such as DFT.
    """
    method = _in_any_cell(member)
    before, cell_before = np.zeros((0, 3)), np.zeros((3, 3))
    result: tuple[float, Array, Array | None] = 0.0, before, None

    def energy_in_cell(
        positions: Array, cell: Array, virial: bool
    ) -> tuple[float, Array, Array | None]:
        nonlocal before, cell_before, result
        same = np.array_equal(before, positions) and np.array_equal(cell_before, cell)
        if not same or (virial and result[2] is None):
            result = method(positions, cell, virial)
            before, cell_before = positions.copy(), cell.copy()
        return result[0], result[1].copy(), result[2]

    return energy_in_cell


def _in_any_cell(member: RunnablePotential) -> EnergyInCell:
    """Return the function of a potential in a cell, or of isolated atoms without one."""

    def energy_in_cell(
        positions: Array, cell: Array, virial: bool
    ) -> tuple[float, Array, Array | None]:
        if cell.any():
            return member.energy_in_cell(positions, cell, virial)
        return *member.energy_and_forces(positions), None

    return energy_in_cell


def _joined(
    kind: str, name: str, parts: Sequence[PotentialOrigin], weights: Sequence[float]
) -> PotentialOrigin:
    """Combine the origins of several potentials."""
    content = json.dumps([kind, list(weights), [part.sha256 for part in parts]])
    domains = [part.domain for part in parts]
    return PotentialOrigin(
        name=name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]} ...",
        sha256=hashlib.sha256(content.encode()).hexdigest(),
        citation="; ".join(dict.fromkeys(part.citation for part in parts if part.citation)),
        reference_energy_eV=sum(
            w * part.reference_energy_eV for w, part in zip(weights, parts, strict=True)
        ),
        needs=tuple(dict.fromkeys(need for part in parts for need in part.needs)),
        domain=Domain(
            np.concatenate([domain.pairs for domain in domains]),
            np.concatenate([domain.warn for domain in domains]),
            np.concatenate([domain.stop for domain in domains]),
        ),
        warning="; ".join(dict.fromkeys(part.warning for part in parts if part.warning)),
        slope_error=sum(abs(w) * part.slope_error for w, part in zip(weights, parts, strict=True)),
    )


def _trees(parts: Sequence[RunnablePotential]) -> tuple[Model, ...]:
    """Return the trees of potentials, if all are trees for one interpreter; else nothing."""
    models = tuple(part.model for part in parts if part.model is not None)
    same = len({part.backend for part in parts}) == 1
    return models if same and len(models) == len(parts) else ()


def _added(parts: Sequence[RunnablePotential], weights: Sequence[float]) -> RunnablePotential:
    """Return the weighted sum, with the origin of the first potential."""
    variances = [(w, part.variance) for part, w in zip(parts, weights, strict=True)]
    variance = _variance_of_sum([(w, each) for w, each in variances if each is not None])
    models = _trees(parts)
    if models:
        scaled = [m if w == 1 else Scaled(m, w) for m, w in zip(models, weights, strict=True)]
        return RunnablePotential(
            parts[0].source, Sum(tuple(scaled)), parts[0].backend, variance=variance
        )
    if any(part.in_cell is not None for part in parts):
        both = _adding_in_cell([part.energy_in_cell for part in parts], weights)
        return RunnablePotential(parts[0].source, in_cell=both, variance=variance)
    function = _adding([part.energy_and_forces for part in parts], weights)
    return RunnablePotential(parts[0].source, function=function, variance=variance)


def _adding(methods: Sequence[EnergyAndForces], weights: Sequence[float]) -> EnergyAndForces:
    def energy_and_forces(positions: Array) -> tuple[float, Array]:
        total, summed = 0.0, np.zeros(positions.shape)
        for method, weight in zip(methods, weights, strict=True):
            energy, forces = method(positions)
            total, summed = total + weight * float(energy), summed + weight * forces
        return total, summed

    return energy_and_forces


def _adding_in_cell(methods: Sequence[EnergyInCell], weights: Sequence[float]) -> EnergyInCell:
    def energy_in_cell(
        positions: Array, cell: Array, virial: bool
    ) -> tuple[float, Array, Array | None]:
        total, summed, strained = 0.0, np.zeros(positions.shape), np.zeros((3, 3))
        complete = virial
        for method, weight in zip(methods, weights, strict=True):
            energy, forces, part = method(positions, cell, virial)
            total, summed = total + weight * float(energy), summed + weight * forces
            complete = complete and part is not None
            strained = strained if part is None else strained + weight * part
        return total, summed, strained if complete else None

    return energy_in_cell


def _variance_of(methods: Sequence[EnergyInCell]) -> ForceSpread:
    def variance(positions: Array, cell: Array = ISOLATED) -> Array:
        forces = np.array([method(positions, cell, False)[1] for method in methods])
        return np.asarray(((forces - forces.mean(axis=0)) ** 2).sum(axis=2).mean(axis=0))

    return variance


def _variance_of_sum(parts: Sequence[tuple[float, ForceSpread]]) -> ForceSpread | None:
    """Return the variance of a sum of independent committees; other terms have none."""
    if not parts:
        return None

    def variance(positions: Array, cell: Array = ISOLATED) -> Array:
        return np.asarray(np.sum([w**2 * each(positions, cell) for w, each in parts], axis=0))

    return variance


def variance_of_tree(model: Model, backend: str) -> ForceSpread | None:
    """Return the variance of the committees at the top of a packaged tree; None without any."""
    match model:
        case Committee():
            source = PotentialOrigin("", "", "", 0.0, (), UNBOUNDED_DOMAIN)
            members = [RunnablePotential(source, member, backend) for member in model.members]
            return _variance_of([_in_any_cell(member) for member in members])
        case Scaled():
            inner = variance_of_tree(model.model, backend)
            return None if inner is None else _variance_of_sum([(model.factor, inner)])
        case Sum():
            parts = [variance_of_tree(term, backend) for term in model.terms]
            return _variance_of_sum([(1.0, part) for part in parts if part is not None])
        case ManyBody() if model.n_molecules == 2:
            return variance_of_tree(model.pair, backend)
        case _:
            return None
