"""Potential of a run as a function, for use elsewhere."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import TypeAdapter, ValidationError

from qmd.analysis.series import Series
from qmd.errors import CorruptError, MismatchError
from qmd.forces.build import build_potential
from qmd.forces.config import Potential, ReferenceConfig
from qmd.forces.runnable import RunnablePotential
from qmd.integrators import Force, Limits
from qmd.io.faults import first_fault
from qmd.potentials import Package, evaluate
from qmd.system.system import System
from qmd.typing import Array


class RunPotential(NamedTuple):
    """Potential, ready for use on the atoms of a run."""

    name: str
    energy_and_forces: Callable[[Array], tuple[float, Array]]
    """Function of positions, angstrom: energy (eV), forces (eV/angstrom)."""
    force: Force
    limits: Limits
    """Limits of the trained domain, if the potential has one."""
    compiled: bool
    """True if it runs on the native kernel, so that a step costs little."""


def potential_of_run(run: Series) -> RunPotential:
    """Return the potential that `run` used.

    Raises
    ------
    MismatchError
        If the potential, or something that it needs, cannot be found.
    CorruptError
        If the record of the run describes none.
    """
    config: Any = _config(run)
    if isinstance(config, ReferenceConfig):
        found = build_potential(config, system(run), run.folder)
        _check_same(found, run)
    else:
        found = _build_near(config, run)
    if found.model is not None:  # faster than JAX, and equal to it
        found = replace(found, backend="native")
    source, domain = found.source, found.source.domain
    limits = Limits(np.inf, 1.0, domain.pairs, domain.warn, domain.stop)
    compiled = found.model is not None
    return RunPotential(source.name, found.energy_and_forces, found.force(), limits, compiled)


def _config(run: Series) -> Any:
    try:
        return TypeAdapter(Potential).validate_python(run.record["input"]["potential"])
    except ValidationError as error:
        raise CorruptError(
            f"{run.folder / 'run.json'} describes no potential: {first_fault(error)}.",
            "Restore it from a copy.",
        ) from None


def potential_of_package(package: Package) -> RunPotential:
    """Return a packaged potential."""
    kernel, domain = package.native(), package.domain

    def energy_and_forces(positions: Array) -> tuple[float, Array]:
        energy, forces = evaluate(kernel, np.ascontiguousarray(positions))
        return float(energy), forces.copy()

    limits = Limits(np.inf, 1.0, domain.pairs, domain.warn, domain.stop)
    return RunPotential(package.name, energy_and_forces, kernel, limits, compiled=True)


def system(run: Series) -> System:
    """Return the atoms of a run at its first frame."""
    from ase.data import atomic_numbers

    numbers = np.array([atomic_numbers[s] for s in run.species])
    charge, multiplicity = (run.record.get(key) for key in ("charge", "multiplicity"))
    return System(
        numbers, run.positions[0], run.masses, None, run.name, charge, multiplicity, run.cell
    )


def _build_near(config: Any, run: Series) -> RunnablePotential:
    """Build a potential; its files are often beside the input, in the folder above the outputs."""
    problem: MismatchError | None = None
    for place in (run.folder.parent, run.folder, Path.cwd()):
        try:
            found = build_potential(config, system(run), place)
            _check_same(found, run)
            return found
        except MismatchError as error:
            problem = problem or error
    assert problem is not None
    raise problem


def _check_same(found: RunnablePotential, run: Series) -> None:
    """Raise MismatchError unless it is the potential that `run` used."""
    used = str(run.record["potential"]["sha256"])
    if found.source.sha256 != used:
        raise MismatchError(
            f"potential {found.source.name} has SHA-256 {found.source.sha256}, but the run was "
            f"made with {used}",
            "use the potential that the run was made with",
        )
