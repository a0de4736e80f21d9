"""From the `potential:` section of an input to a potential on the atoms of a system.

What is a tree stays one: sums and committees of trees are trees, run by one native kernel. Where a
part is a Python function (a reference method, a function of another package), the whole is one.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import pi
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from qmd.errors import InputError, MismatchError, NumericalError
from qmd.forces.catalogue import check_sha256, find_named
from qmd.forces.origin import ANYWHERE, Source
from qmd.integrators import Force, python_force
from qmd.potentials import (
    Committee,
    Domain,
    External,
    HarmonicAngles,
    HarmonicBonds,
    LennardJones,
    ManyBody,
    Model,
    MorseBonds,
    NativeKernel,
    Package,
    PointCharges,
    Scaled,
    SphericalWall,
    Sum,
    evaluate,
    model_sha256,
    native_model,
)
from qmd.run.config import (
    ASEConfig,
    ClassicalConfig,
    CommitteeConfig,
    DFTConfig,
    FCIConfig,
    HarmonicAngleConfig,
    HarmonicBondConfig,
    LennardJonesConfig,
    MorseConfig,
    PackageConfig,
    PointChargesConfig,
    Potential,
    PotentialConfig,
    SumConfig,
)
from qmd.system.system import System, check_species

Array = np.ndarray
Method = Callable[[Array], tuple[float, Array]]
"""Positions (n_atoms, 3), angstrom -> energy (eV), forces (eV/angstrom)."""
Function = Callable[[Array], Array]
SLOPE_ERROR = 1e-3
"""eV/angstrom: of functions that iterate, or compute in single precision."""
LONGEST_NAME = 200


@dataclass(frozen=True, eq=False)
class Resolved:
    """A potential on the atoms of a system."""

    source: Source
    model: Model | None = None
    """The tree, if it is one."""
    backend: str = "native"
    """What interprets the tree: native or jax."""
    function: Method | None = None
    """What it is instead of a tree."""
    variance: Function | None = None
    """Of a committee: positions -> variance of the force on each atom, eV^2/angstrom^2."""

    def force(self) -> Force:
        """For the integrators.

        Raises
        ------
        MismatchError
            If a part of the tree has no native form.
        """
        if self.model is None:
            return python_force(self.energy_and_forces)
        return build_force(self.model, self.backend)

    @cached_property
    def energy_and_forces(self) -> Method:
        """As a Python function; the forces are the caller's own."""
        if self.function is not None:
            return self.function
        assert self.model is not None
        if self.backend == "native":
            return _by_kernel(self.model)
        from qmd.forces.jax_force import jax_function

        function = jax_function(self.model)

        def energy_and_forces(positions: Array) -> tuple[float, Array]:
            energy, forces = function(positions)
            return float(energy), np.array(forces)

        return energy_and_forces

    @property
    def native_model(self) -> Model | None:
        """The tree, if the native kernel interprets it."""
        return self.model if self.backend == "native" else None

    @property
    def force_spread(self) -> Function | None:
        """Of a committee: positions -> standard deviation of the force on each atom, eV/angstrom.

        That of the members' force vectors about their mean, ``sqrt(<|F_i - <F_i>|^2>)``.
        """
        variance = self.variance
        return None if variance is None else lambda positions: np.sqrt(variance(positions))


def described(potential: str | PathLike[str] | Mapping[str, Any]) -> PotentialConfig:
    """What `potential`, a name, a path or a mapping, means where an input has a potential.

    Raises
    ------
    InputError
        If a mapping is not the description of a potential.
    """
    data = dict(potential) if isinstance(potential, Mapping) else fspath(potential)
    try:
        config: PotentialConfig = TypeAdapter(Potential).validate_python(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, ("potential", *first["loc"])))
        raise InputError(f"{where}: {first['msg']}") from None
    return config


def resolve(config: PotentialConfig, system: System, folder: Path) -> Resolved:
    """The potential of an input.

    Parameters
    ----------
    config : PotentialConfig
    system : System
        Its atoms.
    folder : Path
        What paths start from.

    Raises
    ------
    MismatchError
        In one line, if it, or something it needs, is not there, or not for these atoms.
    """
    match config:
        case PackageConfig():
            return _named(config, system, folder)
        case DFTConfig() | FCIConfig() | ASEConfig():
            return _reference(config, system)
        case SumConfig():
            weights = config.weights or [1.0] * len(config.terms)
            terms = [resolve(term, system, folder) for term in config.terms]
            return _sum(terms, weights)
        case CommitteeConfig():
            return _committee([resolve(member, system, folder) for member in config.members])
        case _:
            return _classical(config, system)


def confined(potential: Resolved, sphere: SphericalWall) -> Resolved:
    """`potential` in a sphere, which its record does not name: the input does."""
    wall = Resolved(potential.source, sphere, potential.backend)
    return replace(_added([potential, wall], [1.0, 1.0]), source=potential.source)


def build_force(model: Model, backend: str) -> Force:
    """The force of a model: its native kernel, or its JAX function through a callback."""
    if backend == "native":
        return Force(*_kernel(model))
    from qmd.forces.jax_force import jax_force

    return jax_force(model)


def _kernel(model: Model) -> NativeKernel:
    try:
        return native_model(model)
    except ValueError as error:
        raise MismatchError(str(error), hint="set `potential.backend: jax`") from None


def _by_kernel(model: Model) -> Method:
    kernel = _kernel(model)

    def energy_and_forces(positions: Array) -> tuple[float, Array]:
        energy, forces = evaluate(kernel, np.array(positions))
        return float(energy), forces

    return energy_and_forces


def _named(config: PackageConfig, system: System, folder: Path) -> Resolved:
    named = find_named(config.name, folder, system)
    check_sha256(config.name, named, config.sha256)
    found, needs = named.found, named.needs
    check_species(system, found.species)
    if isinstance(found, External):
        source = Source(
            config.name, named.sha256, found.citation, 0.0, needs, ANYWHERE, SLOPE_ERROR
        )
        assert callable(found.potential)
        return Resolved(source, function=_guarded(config.name, found.potential))
    return of_package(found, config.backend, needs)


def of_package(package: Package, backend: str, needs: tuple[str, ...] = ()) -> Resolved:
    """A packaged potential on its own atoms, by the native kernel or by JAX."""
    source = Source(
        package.name,
        package.sha256,
        package.citation,
        package.reference_energy_eV,
        (*needs, "jax") if backend == "jax" else needs,
        package.domain,
    )
    variance = _variance_of_tree(package.model, backend)
    return Resolved(source, package.model, backend, variance=variance)


def _guarded(name: str, function: Method) -> Method:
    """A function of another package, whose errors become one line."""

    def energy_and_forces(positions: Array) -> tuple[float, Array]:
        try:
            energy, forces = function(positions)
            energy, forces = float(energy), np.array(forces, float)
        except Exception as error:  # of any kind: it is another's code
            text = f"{type(error).__name__}: {error}".splitlines()[0][:300]
            raise NumericalError(
                f"{name} failed: {text}", "it is a function of another package"
            ) from None
        if forces.shape != positions.shape:
            raise NumericalError(
                f"{name} must return forces of shape {positions.shape}, but returned {forces.shape}"
            )
        return energy, forces

    return energy_and_forces


def _reference(config: DFTConfig | FCIConfig | ASEConfig, system: System) -> Resolved:
    from qmd.forces.reference import SLOPE_ERROR, reference_method, settings_sha256

    name, method, needs = reference_method(config, system)
    sha256 = settings_sha256(config)
    source = Source(name, sha256, "", 0.0, needs, ANYWHERE, SLOPE_ERROR)
    return Resolved(source, function=method)


def _classical(config: ClassicalConfig, system: System) -> Resolved:
    try:
        model = classical_model(config, system.n_atoms)
    except ValueError as error:
        raise MismatchError(f"potential of kind {config.kind} on {system.name}: {error}") from None
    source = Source(config.kind, model_sha256(model), "", 0.0, (), ANYWHERE)
    return Resolved(source, model)


def classical_model(config: ClassicalConfig, n_atoms: int) -> Model:
    """The leaf of a classical term in a system of `n_atoms`.

    Raises
    ------
    ValueError
        If it names atoms that are not there, or one twice.
    """
    match config:
        case MorseConfig():
            bonds = _pairs(config.bonds)
            numbers = config.depth_eV, config.steepness_per_A, config.length_A
            return MorseBonds(n_atoms, bonds, *numbers)
        case HarmonicBondConfig():
            bonds = _pairs(config.bonds)
            return HarmonicBonds(n_atoms, bonds, config.stiffness_eV_per_A2, config.length_A)
        case HarmonicAngleConfig():
            angles = tuple((i, vertex, k) for i, vertex, k in config.angles)
            stiffness, angle = config.stiffness_eV_per_rad2, config.angle_deg * pi / 180
            return HarmonicAngles(n_atoms, angles, stiffness, angle)
        case LennardJonesConfig():
            atoms = tuple(range(n_atoms) if config.atoms is None else config.atoms)
            return LennardJones(n_atoms, atoms, config.epsilon_eV, config.sigma_A)
        case PointChargesConfig():
            return _point_charges(config, n_atoms)


def _pairs(bonds: Sequence[Sequence[int]]) -> tuple[tuple[int, int], ...]:
    return tuple((i, j) for i, j in bonds)


def _point_charges(config: PointChargesConfig, n_atoms: int) -> PointCharges:
    if len(config.charges_e) != n_atoms:
        raise ValueError(f"it needs {n_atoms} charges, but got {len(config.charges_e)}.")
    molecules = [[atom] for atom in range(n_atoms)]
    if config.molecules is not None:
        molecules = config.molecules
    if sorted(atom for members in molecules for atom in members) != list(range(n_atoms)):
        raise ValueError(f"its molecules must hold each of the atoms 0 to {n_atoms - 1} once.")
    of_atom = {atom: k for k, members in enumerate(molecules) for atom in members}
    return PointCharges(tuple(config.charges_e), tuple(of_atom[atom] for atom in range(n_atoms)))


def _sum(terms: Sequence[Resolved], weights: Sequence[float]) -> Resolved:
    names = [
        part.source.name if weight == 1 else f"{weight:g} {part.source.name}"
        for part, weight in zip(terms, weights, strict=True)
    ]
    source = _joined("sum", " + ".join(names), [part.source for part in terms], weights)
    return replace(_added(terms, weights), source=source)


def _committee(members: Sequence[Resolved]) -> Resolved:
    sources = [member.source for member in members]
    name = f"mean of {', '.join(source.name for source in sources)}"
    shares = [1 / len(members)] * len(members)
    source = _joined("committee", name, sources, shares)
    methods = [_remembered(member.energy_and_forces) for member in members]
    variance, models = _variance_of(methods), _trees(members)
    if models:
        return Resolved(source, Committee(models), members[0].backend, variance=variance)
    return Resolved(source, function=_adding(methods, shares), variance=variance)


def _remembered(method: Method) -> Method:
    """`method`, not asked again for the positions it was asked for last.

    A row of the log then costs no calculation, and leaves no mark on methods that remember where
    they were, such as DFT.
    """
    asked, told = np.zeros((0, 3)), (0.0, np.zeros((0, 3)))

    def energy_and_forces(positions: Array) -> tuple[float, Array]:
        nonlocal asked, told
        if not np.array_equal(asked, positions):
            told, asked = method(positions), positions.copy()
        return told[0], told[1].copy()

    return energy_and_forces


def _joined(kind: str, name: str, parts: Sequence[Source], weights: Sequence[float]) -> Source:
    """What is known of several potentials together."""
    content = json.dumps([kind, list(weights), [part.sha256 for part in parts]])
    domains = [part.domain for part in parts]
    return Source(
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
        slope_error=sum(abs(w) * part.slope_error for w, part in zip(weights, parts, strict=True)),
    )


def _trees(parts: Sequence[Resolved]) -> tuple[Model, ...]:
    """Their trees, if all are trees for one interpreter; else none."""
    models = tuple(part.model for part in parts if part.model is not None)
    same = len({part.backend for part in parts}) == 1
    return models if same and len(models) == len(parts) else ()


def _added(parts: Sequence[Resolved], weights: Sequence[float]) -> Resolved:
    """The weighted sum, with the source of the first."""
    variances = [(w, part.variance) for part, w in zip(parts, weights, strict=True)]
    variance = _variance_of_sum([(w, of) for w, of in variances if of is not None])
    models = _trees(parts)
    if models:
        scaled = [m if w == 1 else Scaled(m, w) for m, w in zip(models, weights, strict=True)]
        return Resolved(parts[0].source, Sum(tuple(scaled)), parts[0].backend, variance=variance)
    function = _adding([part.energy_and_forces for part in parts], weights)
    return Resolved(parts[0].source, function=function, variance=variance)


def _adding(methods: Sequence[Method], weights: Sequence[float]) -> Method:
    def energy_and_forces(positions: Array) -> tuple[float, Array]:
        total, summed = 0.0, np.zeros(positions.shape)
        for method, weight in zip(methods, weights, strict=True):
            energy, forces = method(positions)
            total, summed = total + weight * float(energy), summed + weight * forces
        return total, summed

    return energy_and_forces


def _variance_of(methods: Sequence[Method]) -> Function:
    def variance(positions: Array) -> Array:
        forces = np.array([method(positions)[1] for method in methods])
        return np.asarray(((forces - forces.mean(axis=0)) ** 2).sum(axis=2).mean(axis=0))

    return variance


def _variance_of_sum(parts: Sequence[tuple[float, Function]]) -> Function | None:
    """Of independent committees; what is no committee has none."""
    if not parts:
        return None
    return lambda positions: np.sum([w**2 * of(positions) for w, of in parts], axis=0)


def _variance_of_tree(model: Model, backend: str) -> Function | None:
    """Of the committees at the top of a packaged tree."""
    match model:
        case Committee():
            source = Source("", "", "", 0.0, (), ANYWHERE)
            members = [Resolved(source, member, backend) for member in model.members]
            return _variance_of([member.energy_and_forces for member in members])
        case Scaled():
            inner = _variance_of_tree(model.model, backend)
            return None if inner is None else _variance_of_sum([(model.factor, inner)])
        case Sum():
            parts = [_variance_of_tree(term, backend) for term in model.terms]
            return _variance_of_sum([(1.0, part) for part in parts if part is not None])
        case ManyBody() if model.n_molecules == 2:
            return _variance_of_tree(model.pair, backend)
        case _:
            return None
