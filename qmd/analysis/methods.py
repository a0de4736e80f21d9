"""The potential of a run as a function, to evaluate it elsewhere."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter

from qmd.analysis.series import Series
from qmd.build import load_package
from qmd.config import PackageConfig, PotentialConfig
from qmd.errors import MismatchError
from qmd.integrators import Force, Limits, python_force
from qmd.potentials import Package, evaluate
from qmd.system import System

Array = npt.NDArray[np.float64]


class Source(NamedTuple):
    """A potential, ready for use on the atoms of a run."""

    name: str
    energy_and_forces: Callable[[Array], tuple[float, Array]]
    """Positions, angstrom -> energy (eV), forces (eV/angstrom)."""
    force: Force
    limits: Limits
    """Of the trained domain, for a packaged one."""


def of_run(run: Series) -> Source:
    """The potential that `run` was made with.

    Raises
    ------
    MismatchError
        If it, or what it needs, is not there.
    """
    config: Any = TypeAdapter(PotentialConfig).validate_python(run.record["input"]["potential"])
    if isinstance(config, PackageConfig):
        sha256 = str(run.record["potential"]["sha256"])
        return of_package(_package(config.name, run.folder, sha256))
    from qmd.reference_force import reference_method

    name, method, _ = reference_method(config, system(run))
    return Source(name, method, python_force(method), _anywhere())


def of_package(package: Package) -> Source:
    """A packaged potential."""
    kernel, domain = package.native(), package.domain

    def energy_and_forces(positions: Array) -> tuple[float, Array]:
        energy, forces = evaluate(kernel, np.ascontiguousarray(positions))
        return float(energy), forces.copy()

    limits = Limits(np.inf, 1.0, domain.pairs, domain.warn, domain.stop)
    return Source(package.name, energy_and_forces, Force(*kernel), limits)


def system(run: Series) -> System:
    """Atoms of a run at its first frame."""
    from ase.data import atomic_numbers

    numbers = np.array([atomic_numbers[s] for s in run.species])
    return System(numbers, run.positions[0], run.masses, None, run.name)


def _anywhere() -> Limits:
    none = np.zeros((0, 2))
    return Limits(np.inf, 1.0, none.astype(np.int64), none, none)


def _package(name: str, folder: Path, sha256: str) -> Package:
    """By name, or a file beside the input, which is often the folder above the outputs."""
    problem: MismatchError | None = None
    for place in (folder.parent, folder, Path.cwd()):
        try:
            return load_package(name, place, sha256)
        except MismatchError as error:
            problem = problem or error
    assert problem is not None
    raise problem
