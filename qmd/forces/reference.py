"""Reference methods as the force of a run: PySCF, or any ASE calculator."""

import hashlib
import os
import warnings
from collections import deque
from collections.abc import Sequence
from functools import cache, partial
from importlib import import_module
from importlib.metadata import packages_distributions
from itertools import pairwise
from typing import Any

import numpy as np

from qmd.config.trust import require_calculator, require_name
from qmd.environment import environment
from qmd.errors import MismatchError, NotInstalledError, NumericalError, QmdError, out_of_memory
from qmd.forces.config import ASEConfig, DFTConfig, FCIConfig
from qmd.forces.dft import DFT, pyscf_variables
from qmd.forces.directions import require_directions
from qmd.forces.electrons import electrons_name, with_electrons
from qmd.forces.fci import FCI
from qmd.forces.results import checked, checked_stress
from qmd.system.cell import completed, periodic, volume
from qmd.system.system import System
from qmd.typing import Array, EnergyAndForces, EnergyInCell

CLOSE_A, NEAR_A = 0.05, 0.5
"""Largest moves of an atom over which densities are extrapolated, and over which the last density
is used as a guess."""
PYSCF_ERRORS = (RuntimeError, ValueError, KeyError)
"""Errors of PySCF where a method fails: no convergence, a singular matrix (LinAlgError is a
ValueError), an unknown basis."""
INSTALL = 'install the extra, in the checkout: pip install -e ".[reference]"'


def reference_method(
    config: DFTConfig | FCIConfig | ASEConfig, system: System
) -> tuple[str, EnergyAndForces, tuple[str, ...]]:
    """Return name, function, and relevant packages of a method on the atoms of `system`.

    Raises
    ------
    MismatchError
        If a package that it needs is not installed, or if it cannot treat these atoms.
    """
    config = with_electrons(config, system)
    match config:
        case DFTConfig():
            return _dft(config, system)
        case FCIConfig():
            return _fci(config, system)
        case ASEConfig():
            name, in_cell, needs = ase_method(config, system)
            return name, lambda positions: in_cell(positions, system.cell, False)[:2], needs


def reference_energy(config: DFTConfig | FCIConfig | ASEConfig, system: System) -> float:
    """Return the energy (eV) of `system`, without the work that forces take.

    Raises
    ------
    MismatchError
        As `reference_method` does.
    NumericalError
        If the calculation fails.
    """
    config = with_electrons(config, system)
    if isinstance(config, ASEConfig):
        atoms = _atoms(config, system)
        atoms.pbc = periodic(system.cell)
        atoms.cell = completed(system.cell) if system.is_periodic else system.cell
        name, energy = config.calculator, partial(_energy_of_forces, atoms)
    else:
        name = reference_method(config, system)[0]
        method = _dft_method(config, name) if isinstance(config, DFTConfig) else _fci_method(config)
        energy = partial(method.energy, system.numbers, system.positions)
    try:
        with warnings.catch_warnings():  # PySCF recommends packages when a basis is unknown
            warnings.simplefilter("ignore", UserWarning)
            value = energy()
    except (Exception, SystemExit) as error:  # calculators raise errors of any kind
        raise _failed(name, error) from None
    shape = (system.n_atoms, 3)
    return checked(name, value, np.zeros(shape), shape)[0]


def _dft(config: DFTConfig, system: System) -> tuple[str, EnergyAndForces, tuple[str, ...]]:
    require_name("potential.functional", config.functional)
    require_name("potential.basis", config.basis)
    _require("pyscf", "dftd3")
    dispersion = "-D3(0)" if config.dispersion else ""
    name = f"{config.functional}{dispersion}/{config.basis}{electrons_name(config)}"
    method = _dft_method(config, name)
    before: deque[tuple[Array, Array]] = deque(maxlen=3)

    def energy_and_forces(positions: Array) -> tuple[float, Array]:
        try:
            with warnings.catch_warnings():  # PySCF recommends packages when a basis is unknown
                warnings.simplefilter("ignore", UserWarning)
                energy, forces, density = method.energy_and_forces(
                    system.numbers, positions, _next_density(before, positions)
                )
        except PYSCF_ERRORS as error:
            raise _failed(name, error) from None
        before.append((positions.copy(), density))
        return checked(name, energy, forces, positions.shape)

    needs = ("pyscf", "dftd3") if config.dispersion else ("pyscf",)
    return name, energy_and_forces, needs


def _dft_method(config: DFTConfig, name: str) -> DFT:
    return DFT(
        name, config.functional, config.basis, config.dispersion, config.grid_level,
        config.convergence_Ha, config.charge or 0, config.multiplicity or 1,
    )  # fmt: skip


def _next_density(before: Sequence[tuple[Array, Array]], positions: Array) -> Array | None:
    """Guess the density at `positions` from (positions, density) of up to three earlier steps.

    Along a path the guess is extrapolated by a parabola, which takes fewer cycles than the last
    density; after a jump there is no guess.
    """
    path = [x for x, _ in before] + [positions]
    jumps = [float(np.abs(b - a).max()) for a, b in pairwise(path)]
    if len(before) == 3 and max(jumps) < CLOSE_A:
        (_, first), (_, second), (_, third) = before
        return np.asarray(3 * (third - second) + first)
    return before[-1][1] if before and jumps[-1] < NEAR_A else None


def _fci(config: FCIConfig, system: System) -> tuple[str, EnergyAndForces, tuple[str, ...]]:
    require_name("potential.basis", config.basis)
    _require("pyscf")
    method = _fci_method(config)
    name = f"FCI/{config.basis}{electrons_name(config)}"

    def energy_and_forces(positions: Array) -> tuple[float, Array]:
        try:
            energy, forces = method.energy_and_forces(system.numbers, positions)
        except PYSCF_ERRORS as error:
            raise _failed(name, error) from None
        return checked(name, energy, forces, positions.shape)

    return name, energy_and_forces, ("pyscf",)


def _fci_method(config: FCIConfig) -> FCI:
    return FCI(config.basis, charge=config.charge or 0, multiplicity=config.multiplicity or 1)


def ase_method(config: ASEConfig, system: System) -> tuple[str, EnergyInCell, tuple[str, ...]]:
    """Return name, function, and relevant packages of an ASE calculator on the atoms of `system`.

    Raises
    ------
    MismatchError
        If the calculator cannot be set up, or does not treat a cell of this kind.
    """
    atoms = _atoms(config, system)

    def energy_in_cell(
        positions: Array, cell: Array, virial: bool
    ) -> tuple[float, Array, Array | None]:
        atoms.positions = positions
        atoms.pbc = periodic(cell)
        atoms.cell = completed(cell) if cell.any() else cell
        try:
            forces = atoms.get_forces()
            energy = _energy_of_forces(atoms)
            stress = _stress(atoms) if virial else None
        except (Exception, SystemExit) as error:  # calculators raise errors of any kind
            raise _failed(config.calculator, error) from None
        energy, forces = checked(config.calculator, energy, forces, positions.shape)
        strained = None if stress is None else -volume(cell) * stress
        return energy, forces, strained

    module = config.calculator.partition(".")[0]
    needs = sorted({*_distributions(module), "ase"})
    return config.calculator.rpartition(".")[2], energy_in_cell, tuple(needs)


def _atoms(config: ASEConfig, system: System) -> Any:
    """Return isolated atoms of ASE with a new calculator."""
    from ase import Atoms

    require_directions(config.calculator, system)
    return Atoms(system.numbers, system.positions, calculator=_calculator(config))


def _stress(atoms: Any) -> Array | None:
    """Stress (eV/A^3), shape (3, 3), of a calculator; None if it has none."""
    from ase.calculators.calculator import PropertyNotImplementedError

    try:
        return checked_stress(type(atoms.calc).__name__, atoms.get_stress(voigt=False))
    except (PropertyNotImplementedError, NotImplementedError):
        return None


@cache
def _distributions(module: str) -> tuple[str, ...]:
    """Return the packages that provide a module; the search of all of them takes half a second."""
    return tuple(packages_distributions().get(module, ()))


def _energy_of_forces(atoms: Any) -> float:
    """Energy (eV) whose slope the forces are: the free energy of a calculator that has one.

    With smeared occupations `energy` is extrapolated to zero width, and the forces belong to
    `free_energy`.
    """
    from ase.calculators.calculator import PropertyNotImplementedError

    try:
        return atoms.get_potential_energy(force_consistent=True)  # type: ignore[no-any-return]
    except (PropertyNotImplementedError, KeyError):
        return atoms.get_potential_energy()  # type: ignore[no-any-return]


def _calculator(config: ASEConfig) -> Any:
    from ase.calculators.abc import GetPropertiesMixin

    require_calculator(config.calculator, config.arguments)
    module, _, name = config.calculator.rpartition(".")
    try:
        kind = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        absent = isinstance(error, ModuleNotFoundError) and error.name == module.partition(".")[0]
        kind = NotInstalledError if absent else MismatchError
        raise kind(
            f"potential.calculator {config.calculator} cannot be imported: {error}",
            hint="install the package that provides it, and give its class with its module",
        ) from None
    if not (isinstance(kind, type) and issubclass(kind, GetPropertiesMixin)):
        raise MismatchError(f"potential.calculator {config.calculator} is not an ASE calculator")
    try:
        return kind(**config.arguments)
    except TypeError as error:
        raise MismatchError(
            f"{config.calculator} does not take potential.arguments: {_first_line(error)}"
        ) from None
    except (Exception, SystemExit) as error:  # calculators raise errors of any kind
        raise MismatchError(
            f"{config.calculator} cannot be set up: {_first_line(error)}",
            hint="this is an error of the calculator; check its installation, and the values in "
            "potential.arguments",
        ) from None


def settings_sha256(config: DFTConfig | FCIConfig | ASEConfig) -> str:
    """Return the SHA-256 of settings from `with_electrons`, and of the files that they name."""
    electrons = {"charge", "multiplicity"}
    digest = hashlib.sha256(config.model_dump_json(exclude=electrons).encode())
    if not isinstance(config, ASEConfig):  # nothing, as ever, for neutral closed shells
        digest.update(electrons_name(config).encode())
    for value in config.arguments.values() if isinstance(config, ASEConfig) else ():
        if isinstance(value, str) and os.path.isfile(value):
            with open(value, "rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _require(*packages: str) -> None:
    for package in packages:
        try:
            with environment(pyscf_variables()):
                import_module(package)
        except ImportError:
            raise NotInstalledError(f"this potential needs {package}", hint=INSTALL) from None
    _forbid_eval()


def _forbid_eval() -> None:
    """Let PySCF take numbers in basis sets as numbers only, never as Python expressions."""
    for module in ("mole", "basis.parse_nwchem", "basis.parse_nwchem_ecp", "basis.parse_molpro"):
        vars(import_module(f"pyscf.gto.{module}"))["DISABLE_EVAL"] = True


def _failed(name: str, error: BaseException) -> QmdError:
    return out_of_memory(error) or NumericalError(
        f"{name} failed: {_first_line(error)}",
        hint="check the settings of the method and the geometry; a run that has begun resumes from "
        "its last checkpoint",
    )


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:300]
