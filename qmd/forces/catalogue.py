"""Potentials by name: shipped ones, flexible water, files, and those of other packages.

Another package brings a potential by an entry point of the group `qmd.potentials`. It is looked for
when nothing else has the name, and imported only then: what is installed and not named costs
nothing. An installed package is trusted code; a file is data.
"""

import hashlib
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from qmd.errors import MismatchError, one_line, quoted
from qmd.forces.origin import UNBOUNDED_DOMAIN
from qmd.potentials import (
    External,
    Model,
    Package,
    PackageError,
    find,
    load,
    model_sha256,
    shipped,
    spc_fw,
)
from qmd.system.system import System, check_species

GROUP = "qmd.potentials"
"""Entry-point group in which other packages announce their potentials."""
MAX_SOURCES = 2000
"""Python files of another package that are read to know it again; beyond, its version tells."""


@dataclass(frozen=True)
class CatalogueEntry:
    """What a name stands for."""

    found: Package | External
    sha256: str
    """Of all that makes it what it is."""
    needs: tuple[str, ...] = ()
    """Installed packages on whose versions it depends."""


def find_potential(name: str, folder: Path, system: System | None = None) -> CatalogueEntry:
    """The potential of a name, or of a .qmdp file relative to `folder`.

    Parameters
    ----------
    name : str
    folder : Path
    system : System, optional
        Atoms for a potential that serves several kinds; flexible water is made for two molecules
        without.

    Raises
    ------
    MismatchError
        If there is none, it is damaged, or what another package gives is no potential.
    """
    if name in spc_fw.BY_NAME:
        water = _flexible_water(name, system)
        return CatalogueEntry(water, water.sha256)
    try:
        package = load(find(name, folder))
    except FileNotFoundError:
        return _of_another_package(name, system)
    except (PackageError, OSError) as error:
        raise MismatchError(str(error), hint="copy the package again, or train it again") from None
    return CatalogueEntry(serving(package, system), package.sha256)


def serving(package: Package, system: System | None) -> Package:
    """The variant of a package for `system`, if it has one; else the package as it is."""
    if system is None or system.symbols not in package.served:
        return package
    return package.on(system.symbols)


def load_package(
    name: str, folder: Path, sha256: str | None = None, system: System | None = None
) -> Package:
    """Load a potential with a model, by name or path, for a user.

    Parameters
    ----------
    name, folder, system
        As for `find_potential`.
    sha256 : str, optional
        What it must be.

    Raises
    ------
    MismatchError
        If there is none, it is damaged, its SHA-256 is not the one asked for, it is for other
        atoms than those of `system`, or it is a Python function, without a model to look into.
    """
    named = find_potential(name, folder, system)
    check_sha256(name, named, sha256)
    if system is not None:
        check_species(system, named.found.species)
    if isinstance(named.found, External):
        raise MismatchError(
            f"{name} is a Python function of another package, without a model",
            hint="it serves `qmd run`, sums, committees and QmdCalculator only",
        )
    return named.found


def check_sha256(name: str, named: CatalogueEntry, sha256: str | None) -> None:
    """Raise MismatchError unless `named` is what the input asks for, if it does."""
    if sha256 not in (None, named.sha256):
        raise MismatchError(
            f"potential {name} has SHA-256 {named.sha256}, but the input asks for {sha256}",
            hint="use the package that the input was written for, or change `potential.sha256`",
        )


def for_given_atoms(name: str, folder: Path = Path()) -> bool:
    """Whether a name may stand for a potential that is made for the atoms it is used on."""
    if name in shipped() or (folder / name).is_file():
        return False
    return name in spc_fw.BY_NAME or name in installed()


def installed() -> dict[str, list[EntryPoint]]:
    """Entry points of other packages by name; nothing is imported."""
    found: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=GROUP):
        found.setdefault(point.name, []).append(point)
    return found


def distribution_of(point: EntryPoint) -> str:
    """Name and version of the package of an entry point."""
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown package"


def _flexible_water(name: str, system: System | None) -> Package:
    """SPC/Fw for the waters of `system`, whose geometry becomes the test vector."""
    if system is None:
        from qmd.io.structure import load_system

        system = load_system("h2o-dimer", Path())
    water = spc_fw.BY_NAME[name]
    check_species(system, spc_fw.WATER * max(1, system.symbols.count("O")))
    try:
        model = water.model(spc_fw.n_molecules(system.symbols))
    except ValueError as error:
        raise MismatchError(f"{name}: {error}") from None
    made = External(system.symbols, model, water.citation, "flexible water of three charges")
    return _package(name, made, model, system)


def _package(name: str, made: External, model: Model, system: System | None) -> Package:
    """A package of a tree that was not trained, anywhere but in a file."""
    n_atoms = len(made.species)
    positions = np.zeros((0, n_atoms, 3))
    if system is not None and system.n_atoms == n_atoms:
        positions = np.array(system.positions)[None]
    return Package(
        name=name,
        description=made.description,
        species=made.species,
        model=model,
        reference_energy_eV=0.0,
        domain=UNBOUNDED_DOMAIN,
        training={},
        citation=made.citation,
        licence="",
        test_positions=positions,
        sha256=model_sha256(model),
    )


def _of_another_package(name: str, system: System | None) -> CatalogueEntry:
    points = installed()
    if name not in points:
        known = [*shipped(), *spc_fw.BY_NAME, *points]
        raise MismatchError(
            f"There is no potential {quoted(name)}: it is neither a file nor one of "
            f"{', '.join(known)}.",
            "`qmd potential list` says more about them.",
        )
    point, *others = points[name]
    if others:
        claims = " and ".join(sorted(map(distribution_of, points[name])))
        raise MismatchError(
            f"potential {quoted(name)} is claimed by {claims}", "uninstall all but one of them"
        )
    return _named(point, _given(point, system), system)


def _given(point: EntryPoint, system: System | None) -> Package | External:
    """What an entry point holds, or what the function that it names makes for the atoms."""
    what = f"potential {quoted(point.name)} of {distribution_of(point)}"
    try:
        found: Any = point.load()
    except Exception as error:  # of any kind: it is another's code
        raise MismatchError(
            f"{what} cannot be imported from {point.value}: {_first_line(error)}",
            "mend or install again the package that brings it",
        ) from None
    if isinstance(found, type) or not callable(found):
        return _checked(what, found)
    if system is None:
        raise MismatchError(
            f"{what} is made for given atoms, and none are given", "name them by --structure"
        )
    try:
        return _checked(what, found(system.symbols))
    except MismatchError:
        raise
    except Exception as error:
        raise MismatchError(
            f"{what} does not serve {' '.join(system.symbols[:12])}: {_first_line(error)}"
        ) from None


def _checked(what: str, found: object) -> Package | External:
    if isinstance(found, Package | External):
        return found
    raise MismatchError(
        f"{what} is a {type(found).__name__}; expected a qmd.potentials.External or Package, or "
        "a function of the chemical symbols that returns one",
        "tell the authors of the package",
    )


def _named(point: EntryPoint, found: Package | External, system: System | None) -> CatalogueEntry:
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
    """Python files of the top package of an entry point: an edited one is another potential."""
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
