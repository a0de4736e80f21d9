"""Potentials by name: shipped ones, flexible water, files, and those of other packages.

Another package provides a potential through an entry point of the group `qmd.potentials`. Entry
points are searched, and imported, only if nothing else has the name, so that installed packages
cost nothing unless they are used. An installed package is trusted code; a file is data.
"""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from qmd.errors import MismatchError, one_line, quoted
from qmd.forces.origin import UNBOUNDED_DOMAIN
from qmd.forces.other_molecules import on_atoms
from qmd.potentials import (
    SHIPPED,
    External,
    Model,
    Package,
    PackageError,
    find,
    load,
    model_sha256,
    read,
    shipped,
    spc_fw,
)
from qmd.system.cell import is_full
from qmd.system.system import System, check_species

GROUP = "qmd.potentials"
"""Entry-point group in which other packages announce their potentials."""
MAX_SOURCES = 2000
"""Largest number of source files that are hashed to identify a potential of another package; larger
packages are identified by their version."""


@dataclass(frozen=True)
class CatalogueEntry:
    """Potential with a name."""

    found: Package | External
    sha256: str
    """SHA-256 of everything that determines its energies."""
    needs: tuple[str, ...] = ()
    """Installed packages on whose versions it depends."""


def find_potential(name: str, folder: Path, system: System | None = None) -> CatalogueEntry:
    """Find the potential with a name, or in a .qmdp file relative to `folder`.

    Parameters
    ----------
    name : str
    folder : Path
    system : System, optional
        Atoms, for a potential that serves several molecules; flexible water is built for two
        molecules by default.

    Raises
    ------
    MismatchError
        If there is none, if it is damaged, or if the object that another package provides is no
        potential.
    """
    if name in spc_fw.BY_NAME:
        water = _flexible_water(name, system)
        return CatalogueEntry(water, water.sha256)
    try:
        path = find(name, folder)
    except FileNotFoundError:
        return _find_installed(name, system)
    package = _taken(load, path)
    return CatalogueEntry(serving(package, system), package.sha256)


def read_shipped(name: str) -> Package:
    """Read a package that comes with the program, without compiling a kernel for its test vectors.

    Raises
    ------
    MismatchError
        If it is damaged.
    """
    return _taken(read, SHIPPED / f"{name}.qmdp")


def _taken(reader: Callable[[Path], Package], path: Path) -> Package:
    try:
        if path.stat().st_size == 0:
            raise PackageError(f"{path}: not a usable .qmdp package: it is empty.")
        return reader(path)
    except PackageError as error:
        raise MismatchError(str(error), hint="copy the package again, or train it again") from None
    except OSError as error:
        raise MismatchError(f"{path} cannot be read: {error.strerror}") from None


def serving(package: Package, system: System | None) -> Package:
    """Return a package on the atoms of `system`, if it serves them; else the package itself."""
    if system is None or not package.serves(system.symbols):
        return package
    return on_atoms(package, system.numbers, system.positions, system.cell)


def load_package(
    name: str, folder: Path, sha256: str | None = None, system: System | None = None
) -> Package:
    """Load a potential that has a model, by name or path.

    Parameters
    ----------
    name, folder, system
        See `find_potential`.
    sha256 : str, optional
        Required SHA-256.

    Raises
    ------
    MismatchError
        If there is none, if it is damaged, if its SHA-256 is not `sha256`, if it does not serve the
        atoms of `system`, or if it is a Python function, which has no model.
    """
    entry = find_potential(name, folder, system)
    check_sha256(name, entry, sha256)
    if system is not None:
        check_species(system, *molecules_of(entry.found), name=name)
    if isinstance(entry.found, External):
        raise MismatchError(
            f"{name} is a Python function of another package, without a model",
            hint="it serves `qmd run`, sums, committees and QmdCalculator only",
        )
    return entry.found


def molecules_of(found: Package | External) -> tuple[tuple[str, ...], ...]:
    """Return the chemical symbols of every molecule that a potential serves."""
    return found.served if isinstance(found, Package) else (found.species,)


def check_sha256(name: str, entry: CatalogueEntry, sha256: str | None) -> None:
    """Raise MismatchError if the input requires another SHA-256."""
    if sha256 not in (None, entry.sha256):
        raise MismatchError(
            f"potential {name} has SHA-256 {entry.sha256}, but the input asks for {sha256}",
            hint="use the package that the input was written for, or change `potential.sha256`",
        )


def for_given_atoms(name: str, folder: Path = Path()) -> bool:
    """Return True if the potential with this name is built for the atoms that it is used on."""
    if name in shipped() or os.path.isfile(folder / name):
        return False
    return name in spc_fw.BY_NAME or name in installed()


def installed() -> dict[str, list[EntryPoint]]:
    """Return the entry points of other packages by name; import nothing."""
    found: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=GROUP):
        found.setdefault(point.name, []).append(point)
    return found


def distribution_of(point: EntryPoint) -> str:
    """Return the name and version of the package of an entry point."""
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown package"


def _flexible_water(name: str, system: System | None) -> Package:
    """Build flexible water for `system`, whose geometry becomes the test vector."""
    if system is None:
        from qmd.io.structure import load_system

        system = load_system("h2o-dimer", Path())
    water = spc_fw.BY_NAME[name]
    check_species(system, spc_fw.WATER * max(1, system.symbols.count("O")), name=name)
    try:
        model = _water_model(water, system)
    except ValueError as error:
        raise MismatchError(f"{name}: {error}") from None
    external = External(system.symbols, model, water.citation, "flexible water of three charges")
    return _package(name, external, model, system)


def _water_model(water: spc_fw.FlexibleWater, system: System) -> Model:
    """Return the tree of isolated waters, or one with Ewald sums; or raise ValueError."""
    count = spc_fw.n_molecules(system.symbols)
    if not system.is_periodic:
        return water.model(count)
    if not is_full(system.cell):
        raise ValueError("Ewald sums need a cell that is periodic in all directions.")
    return water.model_in_cell(count)


def _package(name: str, external: External, model: Model, system: System | None) -> Package:
    """Return a package, without a file, of a tree that was not trained."""
    n_atoms = len(external.species)
    positions = np.zeros((0, n_atoms, 3))
    if system is not None and system.n_atoms == n_atoms:
        positions = np.array(system.positions)[None]
    return Package(
        name=name,
        description=external.description,
        species=external.species,
        model=model,
        reference_energy_eV=0.0,
        domain=UNBOUNDED_DOMAIN,
        training={},
        citation=external.citation,
        licence="",
        test_positions=positions,
        sha256=model_sha256(model),
    )


def _find_installed(name: str, system: System | None) -> CatalogueEntry:
    points = installed()
    if name not in points:
        known = [*shipped(), *spc_fw.BY_NAME, *points]
        raise MismatchError(
            f"There is no potential {quoted(name)}: it is neither a file nor one of "
            f"{', '.join(known)}.",
            "`qmd potential list` describes them.",
        )
    point, *others = points[name]
    if others:
        claims = " and ".join(sorted(map(distribution_of, points[name])))
        raise MismatchError(
            f"potential {quoted(name)} is claimed by {claims}", "uninstall all but one of them"
        )
    return _entry(point, _load_entry_point(point, system), system)


def _load_entry_point(point: EntryPoint, system: System | None) -> Package | External:
    """Return the object of an entry point, or call it with the atoms if it is a function."""
    what = f"potential {quoted(point.name)} of {distribution_of(point)}"
    try:
        found: Any = point.load()
    except Exception as error:  # any kind: the code is not ours
        raise MismatchError(
            f"{what} cannot be imported from {point.value}: {_first_line(error)}",
            "repair or reinstall the package that provides it",
        ) from None
    if isinstance(found, type) or not callable(found):
        return _checked(what, found)
    if system is None:
        raise MismatchError(
            f"{what} is built for given atoms, and none are given", "name them with --structure"
        )
    try:
        return _checked(what, found(system.symbols))
    except MismatchError:
        raise
    except Exception as error:  # any kind: the code is not ours
        refused = isinstance(error, ValueError) and not isinstance(error, np.linalg.LinAlgError)
        raise MismatchError(
            f"{what} {'does not serve' if refused else 'failed on'} "
            f"{' '.join(system.symbols[:12])}: {_first_line(error)}",
            None if refused else "tell the authors of the package",
        ) from None


def _checked(what: str, found: object) -> Package | External:
    if isinstance(found, Package | External):
        return found
    raise MismatchError(
        f"{what} is a {type(found).__name__}; expected a qmd.potentials.External or Package, or "
        "a function of the chemical symbols that returns one",
        "tell the authors of the package",
    )


def _entry(point: EntryPoint, found: Package | External, system: System | None) -> CatalogueEntry:
    needs = (point.dist.name,) if point.dist else ()
    if isinstance(found, Package):
        sha256 = model_sha256(found.model)  # it may have changed since it was read from a file
        return CatalogueEntry(replace(found, sha256=sha256), sha256, needs)
    if not callable(found.potential):
        package = _package(point.name, found, found.potential, system)
        return CatalogueEntry(package, package.sha256, needs)
    digest = hashlib.sha256(f"{distribution_of(point)} {point.value} {found.fingerprint}".encode())
    for source in _sources(point):
        digest.update(source.name.encode() + source.read_bytes())
    return CatalogueEntry(found, digest.hexdigest(), needs)


def _sources(point: EntryPoint) -> list[Path]:
    """Return the source files behind an entry point; an edit of one changes the potential."""
    spec = find_spec(point.module.partition(".")[0])
    if spec is None:
        return []
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    if not folders:
        return [Path(spec.origin)] if spec.origin and Path(spec.origin).is_file() else []
    found = sorted(path for folder in folders for path in folder.rglob("*.py"))
    return found[:MAX_SOURCES]


def _first_line(error: Exception) -> str:
    text = str(error).partition("\n")[0]
    return one_line(f"{type(error).__name__}: {text}")[:300]
