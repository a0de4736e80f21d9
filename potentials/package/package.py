"""The package of a trained potential, `.qmdp`: a zip of JSON and raw arrays, no code.

============================  ==========================================================
`model.json`                  architecture, species, units, domain, training card, hashes
`parameters.safetensors`      trained parameters
`test_vectors.safetensors`    positions with their energies and forces
============================  ==========================================================

A package is data: opening one never runs code, and sizes are checked before anything is
allocated. Loading checks the hashes and evaluates the test vectors with the native kernel (with
JAX if the circuit is beyond it), so that a wrong compilation is noticed before the first step.
The same model always gives the same bytes.
"""

import hashlib
import io
import json
import math
import os
import stat
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from qmd import atomic

from ..json_values import integer, number
from ..tree.nodes import Model
from ..tree.walk import kinds_of, named_parameters, on_atoms
from . import compositions
from .domain import Domain
from .json_form import model_from_json, model_to_json
from .limits import MAX_AMPLITUDES, amplitudes_written, why_too_expensive

if TYPE_CHECKING:
    from qmd.integrators import Force

    from ..tree.potential import ModelPotential

SCHEMA = 2
MEMBERS = ("model.json", "parameters.safetensors", "test_vectors.safetensors")
MAX_BYTES, MAX_MODEL_BYTES = 2**24, 2**20
"""Sizes of the file and of its contents, and of model.json. A water model takes 3 kB."""
ENERGY_TOLERANCE, FORCE_TOLERANCE = 1e-10, 1e-8
"""eV, eV/angstrom: rounding of another processor is 1e-13; a miscompilation is not."""
UNITS = {"energy": "eV", "length": "angstrom", "forces": "eV/angstrom", "angles": "rad"}
SHIPPED = Path(__file__).parents[1] / "shipped"
"""Folder of the packages that come with the program."""


EnergyAndForces = Callable[[np.ndarray], tuple[float, np.ndarray]]
"""Positions (n_atoms, 3), angstrom -> energy (eV) and forces (n_atoms, 3), eV/angstrom."""


class PackageError(Exception):
    """A package that is damaged, incomplete, or made for another version."""


@dataclass(frozen=True)
class Variant:
    """Another molecule that the same numbers serve; what differs from `Package`."""

    species: tuple[str, ...]
    kinds: tuple[int, ...]
    """Kind of each atom, as in `AtomCentredNetwork`."""
    reference_energy_eV: float
    domain: Domain
    test_positions: np.ndarray
    """angstrom, (n_vectors, n_atoms, 3)"""


@dataclass(frozen=True)
class Package:
    """A trained quantum potential with everything needed to run and to judge it.

    Raises
    ------
    ValueError
        If the parts do not fit together, hold numbers that are not finite, or texts that are
        not one printable line.
    """

    name: str
    description: str
    species: tuple[str, ...]
    """Chemical symbols in the atom order that the model serves."""
    model: Model
    reference_energy_eV: float
    """Energy of the labels at the model's zero; runs and logs leave it out. NaN in a package `on`
    other atoms whose zero the labels do not tell."""
    domain: Domain
    training: Mapping[str, Any]
    """The training card: data, level of theory, errors, seeds, versions, time."""
    citation: str
    licence: str
    test_positions: np.ndarray
    """angstrom, (n_vectors, n_atoms, 3)"""
    sha256: str = ""
    """Hash of the file that the package was read from."""
    variants: tuple[Variant, ...] = ()
    """Other molecules, for a network."""
    elements: tuple[str, ...] = ()
    """Elements in the order of the kinds of a network that serves any number of atoms of them;
    `species` are then the atoms of the test vectors. Empty: only the molecules above."""
    test_cells: np.ndarray | None = None
    """Lattice vectors of the test vectors, angstrom, (n_vectors, 3, 3); None: isolated."""
    reference_energies_eV: tuple[tuple[str, float], ...] = ()
    """Energy of the labels of each element at the zero of the model, where it was trained on many
    compositions: the reference energy of any atoms is the sum over them. Empty: not known."""
    trained_on: tuple[tuple[str, ...], ...] = ()
    """Chemical symbols of the molecules of the training, in a package `on` atoms of which it is not
    known that they were trained on: those of none of these molecules, nor several of one."""

    def __post_init__(self) -> None:
        self.model.check()
        # Texts are printed: control characters would reach the user's terminal.
        own = (self.name, self.description, self.citation, self.licence)
        texts = (*own, *self.species, *self.elements)
        if not all(isinstance(text, str) and text.isprintable() for text in texts):
            raise ValueError("Names, species and texts must be single printable lines.")
        n_atoms = self.model.n_atoms
        if len(self.species) != n_atoms or self.test_positions.shape[1:] != (n_atoms, 3):
            raise ValueError(
                f"The model is for {n_atoms} atoms, but there are {len(self.species)} species "
                f"and test positions of shape {self.test_positions.shape}."
            )
        pairs = self.domain.pairs
        if not ((pairs >= 0) & (pairs < n_atoms)).all() or (pairs[:, 0] == pairs[:, 1]).any():
            raise ValueError("The domain must name pairs of different atoms that exist.")
        told = math.isfinite(self.reference_energy_eV)
        on_others = math.isnan(self.reference_energy_eV) and not len(self.test_positions)
        if not ((told or on_others) and np.isfinite(self.test_positions).all()):
            raise ValueError("The reference energy and the test positions must be finite.")
        if len(set(self.served)) != len(self.served):
            raise ValueError("A molecule is named twice.")
        cells = self.test_cells
        if cells is not None:
            if cells.shape != (len(self.test_positions), 3, 3) or not np.isfinite(cells).all():
                raise ValueError("Cells of test vectors must be finite, and one for each.")
        if self.elements:
            on_atoms(self.model, tuple(self.elements.index(s) for s in self.species)).check()
        known = dict(self.reference_energies_eV)
        if not (set(known) <= set(self.elements) and all(map(math.isfinite, known.values()))):
            raise ValueError("Reference energies must be finite, of elements of the package.")
        for variant in self.variants:
            self.on(variant.species)  # which checks it

    @property
    def served(self) -> tuple[tuple[str, ...], ...]:
        """Chemical symbols of each molecule, the package's own first."""
        return self.species, *(variant.species for variant in self.variants)

    def serves(self, species: tuple[str, ...]) -> bool:
        """Return True if `on` takes these atoms: a molecule of its own, or any of its elements.

        A package of several molecules that were trained on together takes other molecules of their
        elements, too, if each two of these elements are together in one of its own.
        """
        return species in self.served or self._takes(species)

    def _takes(self, species: tuple[str, ...]) -> bool:
        known = self._kinds
        if not species or not set(species) <= set(known):
            return False
        return bool(self.elements) or compositions.have_met(species, self._molecules)

    @property
    def known_elements(self) -> tuple[str, ...]:
        """Elements of other molecules than its own that the package serves, in order."""
        return tuple(sorted(self._kinds))

    @property
    def _kinds(self) -> dict[str, int]:
        """Kind of each element, in a package that serves any atoms of them; else empty."""
        if self.elements:
            return {symbol: kind for kind, symbol in enumerate(self.elements)}
        return compositions.kinds_of_elements(self._molecules) if self.variants else {}

    @property
    def _molecules(self) -> list[compositions.Molecule]:
        """The molecules of the training."""
        own = kinds_of(self.model), self.reference_energy_eV, self.domain
        others = [(v.species, v.kinds, v.reference_energy_eV, v.domain) for v in self.variants]
        return [compositions.Molecule(*m) for m in [(self.species, *own), *others]]

    def on(self, species: tuple[str, ...]) -> "Package":
        """The package for atoms that it serves: a molecule of its own, or others of its elements.

        Raises
        ------
        ValueError
            If it does not serve them.
        """
        if species == self.species:
            return self._with_all_pairs()
        for variant in self.variants:
            if species == variant.species:
                return replace(
                    self,
                    species=species,
                    model=on_atoms(self.model, variant.kinds),
                    reference_energy_eV=variant.reference_energy_eV,
                    domain=variant.domain,
                    test_positions=variant.test_positions,
                    variants=(),
                )
        if not self._takes(species):
            raise ValueError(f"{self.name} does not serve {' '.join(species)}.")
        kinds, molecules = self._kinds, self._molecules
        return replace(
            self,
            species=species,
            model=on_atoms(self.model, tuple(kinds[symbol] for symbol in species)),
            reference_energy_eV=self._zero(species),
            domain=compositions.closest(species, molecules),
            test_positions=np.zeros((0, len(species), 3)),
            test_cells=None,
            variants=(),
            trained_on=self._others(species),
        )

    def _with_all_pairs(self) -> "Package":
        """Return the package for its own atoms.

        Where the domain has least distances alone, each for one pair of its elements, all pairs of
        the atoms keep them, as those of any other atoms do.
        """
        if not (self.elements and len(self.domain.pairs)) or self.domain.bounded.any():
            return self
        return replace(self, domain=compositions.closest(self.species, self._molecules))

    def _zero(self, species: tuple[str, ...]) -> float:
        """Return the reference energy (eV) of other atoms; NaN where the labels do not tell it."""
        energies = dict(self.reference_energies_eV)
        if energies and set(species) <= set(energies):
            return math.fsum(energies[symbol] for symbol in species)
        return compositions.zero(species, self._molecules)

    def _others(self, species: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
        """Return the molecules of the training, of which these atoms are none; else nothing.

        A package of many compositions does not say which they were.
        """
        if self.reference_energies_eV or (
            self.elements and compositions.is_multiple(species, self._molecules)
        ):
            return ()
        return self.served

    def native(self) -> "Force":
        """The native kernel of the model, with a workspace of its own.

        Raises
        ------
        ValueError
            If a part of the model is beyond the native kernels.
        """
        return self._kernel.for_thread()

    @cached_property
    def _kernel(self) -> "Force":
        from ..tree.native import native_model

        return native_model(self.model)

    def potential(self) -> "ModelPotential":
        """The model as a JAX potential."""
        from ..tree.potential import ModelPotential

        return ModelPotential(self.model)


def save(
    path: Path,
    package: Package,
    evaluate: Callable[..., tuple[float, np.ndarray]],
    of_variants: Sequence[EnergyAndForces] = (),
) -> str:
    """Write a package, so that a reader finds the old file or the new one; returns its SHA-256.

    Parameters
    ----------
    evaluate : callable
        Positions (n_atoms, 3) and, where test vectors have cells, the cell (3, 3) -> energy and
        forces, for the test vectors; an interpreter other than the native kernel, which will be
        held to them.
    of_variants : sequence of callable
        The same for each variant.
    """
    vectors = _vectors("", evaluate, package.test_positions, package.test_cells)
    if package.test_cells is not None:
        vectors["cells"] = np.ascontiguousarray(package.test_cells, float)
    for i, (variant, function) in enumerate(zip(package.variants, of_variants, strict=True)):
        vectors |= _vectors(f"variants.{i}.", function, variant.test_positions)
    members = {
        "parameters.safetensors": save_tensors(
            {
                name: np.asarray(values, float, order="C")
                for name, values in named_parameters(package.model).items()
            }
        ),
        "test_vectors.safetensors": save_tensors(vectors),
    }
    model = _describe(package) | {
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in members.items()}
    }
    return _write(path, model, members)


def bounded_anew(path: Path, target: Path, domain: Domain, training: Mapping[str, Any]) -> str:
    """Write a copy of a package with another domain and training card; return its SHA-256.

    Parameters and test vectors keep their bytes.

    Parameters
    ----------
    path, target : Path
        Existing package that `load` has taken, and file to write.
    domain : Domain
    training : mapping
    """
    members = _members(_read(path))
    model = json.loads(members.pop("model.json"))
    changed = {"domain": _domain_to_json(domain), "training": dict(training)}
    return _write(target, model | changed, members)


def _write(path: Path, model: Mapping[str, Any], tensors: Mapping[str, bytes]) -> str:
    text = json.dumps(model, indent=1, sort_keys=True, allow_nan=False).encode()
    members = {**tensors, "model.json": text}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in MEMBERS:
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))  # same bytes each time
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, members[name])
    atomic.replace(path, buffer.getvalue(), keep_previous=False)
    return hashlib.sha256(buffer.getvalue()).hexdigest()


def _vectors(
    prefix: str,
    evaluate: Callable[..., tuple[float, np.ndarray]],
    positions: np.ndarray,
    cells: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    each: Any = zip(positions) if cells is None else zip(positions, cells, strict=True)
    results = [evaluate(*geometry) for geometry in each]
    return {
        f"{prefix}positions": np.ascontiguousarray(positions, float),
        f"{prefix}energies": np.array([e for e, _ in results], float),
        f"{prefix}forces": np.array([f for _, f in results], float),
    }


def find(name: str, folder: Path = Path()) -> Path:
    """Path of a package: a shipped name, or a file relative to `folder`.

    Raises
    ------
    FileNotFoundError
        If there is neither; the message lists the shipped names.
    """
    if name in shipped():
        return SHIPPED / f"{name}.qmdp"
    path = folder / name
    if os.path.isfile(path):
        return path
    raise FileNotFoundError(
        f"There is no potential '{name}': it is neither a file nor one of {', '.join(shipped())}."
    )


def shipped() -> list[str]:
    """Names of the packages that come with the program."""
    return sorted(path.stem for path in SHIPPED.glob("*.qmdp"))


def load(path: Path) -> Package:
    """Read and check a package.

    Raises
    ------
    PackageError
        In one line, if the file is damaged, too large, of a newer schema, or if the native
        kernel does not reproduce the test vectors.
    FileNotFoundError
        If there is no such file.
    """
    return _loaded(path, evaluated=True)


def read(path: Path) -> Package:
    """Read a package without a kernel: its hashes and shapes are checked, its test vectors not.

    Raises
    ------
    PackageError, FileNotFoundError
        As `load`, but for the test vectors.
    """
    return _loaded(path, evaluated=False)


def _loaded(path: Path, evaluated: bool) -> Package:
    try:
        data = _read(path)
        model, parameters, vectors = _unpack(data)
        package = _build(model, parameters, vectors, hashlib.sha256(data).hexdigest())
        served = [package, *(package.on(variant.species) for variant in package.variants)]
        if reason := why_too_expensive([(len(one.test_positions), one.model) for one in served]):
            raise PackageError(reason)
        for i, one in enumerate(served if evaluated else ()):
            _check_vectors(one, vectors, f"variants.{i - 1}." if i else "")
    except (
        PackageError, zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, NotImplementedError,
        EOFError, SafetensorError, ValueError, KeyError, TypeError, IndexError, OverflowError,
        RecursionError, RuntimeError,
    ) as error:  # fmt: skip
        kind = "" if isinstance(error, PackageError) else f"{type(error).__name__}: "
        raise PackageError(f"{path}: not a usable .qmdp package: {kind}{_line(error)}.") from None
    return package


def _line(error: Exception) -> str:
    text = " ".join(str(error).split()).rstrip(".")
    return "".join(c for c in text if c.isprintable())[:200] or "unreadable"


def _read(path: Path) -> bytes:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # a pipe would block, a device never end
        raise PackageError("not a regular file")
    if not 0 < status.st_size <= MAX_BYTES:
        raise PackageError(f"larger than {MAX_BYTES >> 20} MiB, or empty")
    return path.read_bytes()


def _members(data: bytes) -> dict[str, bytes]:
    """Return the contents of the members, whose sizes are checked first."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
        sizes = {entry.filename: entry.file_size for entry in entries}
        missing = [name for name in MEMBERS if name not in sizes]
        if missing:
            raise PackageError(f"it lacks {', '.join(missing)}")
        if sum(sizes.values()) > MAX_BYTES or sizes["model.json"] > MAX_MODEL_BYTES:
            raise PackageError(f"its contents are larger than {MAX_BYTES >> 20} MiB")
        if any(e.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for e in entries):
            raise PackageError("it is compressed by another method than deflate")  # no size limit
        members = {}
        for name in MEMBERS:
            with archive.open(name) as file:  # `archive.read` would inflate beyond the stated size
                members[name] = file.read(sizes[name] + 1)
    return members


def _unpack(data: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray], dict[str, np.ndarray]]:
    members = _members(data)
    model = json.loads(members["model.json"], parse_constant=_refuse_constant)
    if not isinstance(model, dict) or model.get("format") != "qmdp":
        raise PackageError("model.json does not say format 'qmdp'")
    if model.get("schema") != SCHEMA:
        raise PackageError(f"schema {model.get('schema')!r}, this version reads {SCHEMA}")
    for name in MEMBERS[1:]:
        if hashlib.sha256(members[name]).hexdigest() != model["sha256"][name]:
            raise PackageError(f"the SHA-256 of {name} does not match")
    parameters, vectors = (load_tensors(members[name]) for name in MEMBERS[1:])
    return model, parameters, vectors


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not a number of JSON")


def _build(
    model: dict[str, Any],
    parameters: dict[str, np.ndarray],
    vectors: dict[str, np.ndarray],
    sha256: str,
) -> Package:
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


def _check_vectors(package: Package, vectors: dict[str, np.ndarray], prefix: str) -> None:
    energies, forces = vectors[f"{prefix}energies"], vectors[f"{prefix}forces"]
    shape = package.test_positions.shape
    if not (shape[0] > 0 and energies.shape == shape[:1] and forces.shape == shape):
        raise PackageError("its test vectors are missing, or do not match each other")
    if not all(array.dtype == np.float64 for array in vectors.values()):
        raise PackageError("its test vectors are not float64")
    for i, (energy, found) in enumerate(_evaluate(package)):
        if not abs(energy - energies[i]) <= ENERGY_TOLERANCE:
            raise PackageError(f"test vector {i} gives {energy} eV, stored {energies[i]}")
        if not np.abs(found - forces[i]).max() <= FORCE_TOLERANCE:
            raise PackageError(f"test vector {i} gives other forces than the stored ones")


def _evaluate(package: Package) -> list[tuple[float, np.ndarray]]:
    """Energies and forces at the test positions: native, or by JAX for what is beyond that."""
    from ..contract import evaluate

    if package.test_cells is not None:
        return _evaluate_in_cells(package, package.test_cells)
    try:
        kernel = package.native()
    except ValueError as error:
        if amplitudes_written(package.model) > MAX_AMPLITUDES:
            raise PackageError(f"its model is too large to check: {error}") from None
    else:
        return [evaluate(kernel, x) for x in package.test_positions]
    import jax

    from ..tree.potential import compiled

    with jax.enable_x64(True):
        results = map(compiled(package.potential()), package.test_positions)
        return [(float(energy), np.asarray(forces)) for energy, forces in results]


def _evaluate_in_cells(package: Package, cells: np.ndarray) -> list[tuple[float, np.ndarray]]:
    """Energies and forces at the test positions in their cells: native, or by JAX."""
    from ..contract import evaluate

    each = list(zip(package.test_positions, cells, strict=True))
    try:
        kernel = package.native()
    except ValueError:
        kernel = None
    if kernel is not None and kernel.periodic:
        return [evaluate(kernel, x, cell) for x, cell in each]
    import jax

    from ..tree.potential import compiled_in_cell

    with jax.enable_x64(True):
        function = compiled_in_cell(package.model)
        return [function(x, cell)[:2] for x, cell in each]


def _describe(package: Package) -> dict[str, Any]:
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
            "domain": _domain_to_json(package.domain),
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
                        "domain": _domain_to_json(variant.domain),
                    }
                    for variant in package.variants
                ]
            }
            if package.variants
            else {}
        )
    )


def _domain_to_json(domain: Domain) -> dict[str, Any]:
    return {
        "pairs": domain.pairs.tolist(),
        "warn_A": domain.warn.tolist(),
        "stop_A": domain.stop.tolist(),
    }
