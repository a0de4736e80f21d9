"""Build the potential that the `potential:` section of an input describes.

Sums and committees of trees are trees again, and run on one native kernel. If a part is a Python
function (a reference method, a function of another package), the whole is a Python function.
"""

from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from qmd.errors import InputError, MismatchError, NumericalError, out_of_memory
from qmd.forces.catalogue import check_sha256, find_potential, molecules_of
from qmd.forces.classical import LennardJonesConfig, PointChargesConfig
from qmd.forces.combine import committee, variance_of_tree, weighted_sum
from qmd.forces.config import (
    ASEConfig,
    ClassicalConfig,
    CommitteeConfig,
    DFTConfig,
    FCIConfig,
    PackageConfig,
    Potential,
    PotentialConfig,
    SumConfig,
)
from qmd.forces.origin import SLOPE_ERROR, UNBOUNDED_DOMAIN, PotentialOrigin
from qmd.forces.other_molecules import warning
from qmd.forces.results import checked
from qmd.forces.runnable import RunnablePotential
from qmd.potentials import (
    External,
    Package,
    model_sha256,
    needs_jax,
)
from qmd.system.cell import is_full
from qmd.system.system import System, check_species
from qmd.typing import Array, EnergyAndForces


def parse_potential(potential: str | PathLike[str] | Mapping[str, Any]) -> PotentialConfig:
    """Parse a name, a path or a mapping, as it may stand under `potential:` in an input.

    Raises
    ------
    InputError
        If a mapping does not describe a potential.
    """
    data = dict(potential) if isinstance(potential, Mapping) else fspath(potential)
    try:
        config: PotentialConfig = TypeAdapter(Potential).validate_python(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, ("potential", *first["loc"])))
        raise InputError(f"{where}: {first['msg']}") from None
    return config


def build_potential(config: PotentialConfig, system: System, folder: Path) -> RunnablePotential:
    """Build the potential of an input for the atoms of a system.

    Parameters
    ----------
    config : PotentialConfig
    system : System
    folder : Path
        Folder to which paths are relative.

    Raises
    ------
    MismatchError
        In one line, if the potential, or something that it needs, cannot be found, or if it does
        not serve these atoms.
    """
    match config:
        case PackageConfig():
            return _named(config, system, folder)
        case DFTConfig() | FCIConfig() | ASEConfig():
            return _reference(config, system)
        case SumConfig():
            weights = config.weights or [1.0] * len(config.terms)
            terms = [build_potential(term, system, folder) for term in config.terms]
            return weighted_sum(terms, weights)
        case CommitteeConfig():
            return committee([build_potential(member, system, folder) for member in config.members])
        case _:
            return _classical(config, system)


def _named(config: PackageConfig, system: System, folder: Path) -> RunnablePotential:
    _require_neutral(config.name, system)
    entry = find_potential(config.name, folder, system)
    check_sha256(config.name, entry, config.sha256)
    found, needs = entry.found, entry.needs
    check_species(system, *molecules_of(found), name=config.name)
    if isinstance(found, External):
        source = PotentialOrigin(
            config.name, entry.sha256, found.citation, 0.0, needs, UNBOUNDED_DOMAIN, SLOPE_ERROR
        )
        assert callable(found.potential)
        return RunnablePotential(source, function=_guarded(config.name, found.potential))
    return build_package(found, config.backend, needs)


def build_package(package: Package, backend: str, needs: tuple[str, ...] = ()) -> RunnablePotential:
    """Return a packaged potential on its own atoms, by the native kernel or by JAX.

    A potential without native kernel runs by JAX in either case.
    """
    backend = "jax" if needs_jax(package.model) else backend
    source = PotentialOrigin(
        package.name,
        package.sha256,
        package.citation,
        package.reference_energy_eV,
        (*needs, "jax") if backend == "jax" else needs,
        package.domain,
        warning=warning(package),
    )
    variance = variance_of_tree(package.model, backend)
    return RunnablePotential(source, package.model, backend, variance=variance)


def _guarded(name: str, function: EnergyAndForces) -> EnergyAndForces:
    """Wrap a function of another package, so that its errors become one line."""

    def energy_and_forces(positions: Array) -> tuple[float, Array]:
        try:
            energy, forces = function(positions)
        except (Exception, SystemExit) as error:  # any kind: the code is not ours
            if lack := out_of_memory(error):
                raise lack from None
            text = f"{type(error).__name__}: {error}".splitlines()[0][:300]
            raise NumericalError(
                f"{name} failed: {text}", "it is a function of another package"
            ) from None
        return checked(name, energy, forces, positions.shape)

    return energy_and_forces


def _reference(config: DFTConfig | FCIConfig | ASEConfig, system: System) -> RunnablePotential:
    from qmd.forces.electrons import with_electrons
    from qmd.forces.reference import ase_method, reference_method, settings_sha256

    config = with_electrons(config, system)
    sha256 = settings_sha256(config)
    if isinstance(config, ASEConfig):
        name, in_cell, needs = ase_method(config, system)
        source = PotentialOrigin(name, sha256, "", 0.0, needs, UNBOUNDED_DOMAIN, SLOPE_ERROR)
        return RunnablePotential(source, in_cell=in_cell)
    name, method, needs = reference_method(config, system)
    source = PotentialOrigin(name, sha256, "", 0.0, needs, UNBOUNDED_DOMAIN, SLOPE_ERROR)
    return RunnablePotential(source, function=method)


def _classical(config: ClassicalConfig, system: System) -> RunnablePotential:
    _require_neutral(f"potential of kind {config.kind}", system)
    try:
        model = config.leaf(system.n_atoms)
    except ValueError as error:
        raise MismatchError(f"potential of kind {config.kind} on {system.name}: {error}") from None
    if isinstance(config, LennardJonesConfig):
        _require_cutoff(config, system)
    if isinstance(config, PointChargesConfig):
        _require_cell_of_ewald(config, system)
    source = PotentialOrigin(config.kind, model_sha256(model), "", 0.0, (), UNBOUNDED_DOMAIN)
    return RunnablePotential(source, model)


def _require_cutoff(config: LennardJonesConfig, system: System) -> None:
    if system.is_periodic and config.cutoff_A is None:
        raise MismatchError(
            f"potential of kind {config.kind} on {system.name}: a periodic system needs `cutoff_A`",
            hint="such as 2.5 times `sigma_A`",
        )
    if config.tail_correction and not is_full(system.cell):
        raise MismatchError(
            f"potential of kind {config.kind} on {system.name}: `tail_correction` needs a cell "
            "that is periodic in all directions"
        )


def _require_cell_of_ewald(config: PointChargesConfig, system: System) -> None:
    what = f"potential of kind {config.kind} on {system.name}"
    if config.cutoff_A is not None and not is_full(system.cell):
        raise MismatchError(
            f"{what}: the Ewald sums of `cutoff_A` need a cell that is periodic in all directions"
        )
    if config.cutoff_A is None and system.is_periodic:
        raise MismatchError(
            f"{what}: a periodic system needs `cutoff_A`, for Ewald sums", hint="such as 9"
        )


def _require_neutral(name: str, system: System) -> None:
    """Refuse what the structure states and a potential of the positions alone would drop."""
    for what, value, neutral in (
        ("charge", system.charge, 0),
        ("multiplicity", system.multiplicity, 1),
    ):
        if value not in (None, neutral):
            raise MismatchError(
                f"{system.name} states {what} {value}, which {name} does not take",
                hint=f"remove the {what} if the molecule is neutral with paired electrons; `dft` "
                "and `fci` take it",
            )
