"""The package of a trained potential, `.qmdp`: a zip of JSON and raw arrays, no code.

============================  ==========================================================
`model.json`                  architecture, species, units, domain, training card, hashes
`parameters.safetensors`      trained numbers
`test_vectors.safetensors`    positions with their energies and forces
============================  ==========================================================

A package is data: opening one never runs code, and sizes are checked before anything is
allocated. Loading checks the hashes and evaluates the test vectors with the native kernel, so
that a wrong compilation is noticed before the first step. The same model always gives the same
bytes.
"""

import hashlib
import io
import json
import math
import os
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from .circuit import Circuit, Encode, Heisenberg, Observable, RotationZ
from .features import LinearVectors
from .model import Architecture, Parameters

if TYPE_CHECKING:
    from .native import NativeKernel
    from .quantum import QuantumPotential

SCHEMA = 1
MEMBERS = ("model.json", "parameters.safetensors", "test_vectors.safetensors")
MAX_BYTES = 64 * 2**20
ENERGY_TOLERANCE, FORCE_TOLERANCE = 1e-10, 1e-8
"""eV, eV/angstrom: rounding of another processor is 1e-13; a miscompilation is not."""
UNITS = {"energy": "eV", "length": "angstrom", "forces": "eV/angstrom", "angles": "rad"}
SHIPPED = Path(__file__).parent / "shipped"


class PackageError(Exception):
    """A package that is damaged, incomplete, or made for another version."""


@dataclass(frozen=True)
class Domain:
    """Interatomic distances (angstrom) that the training data covers.

    Outside `warn` a run reports, outside `stop` it ends.
    """

    pairs: np.ndarray
    """Atom indices, int, (n_pairs, 2)."""
    warn: np.ndarray
    """Shortest and longest distance in the data, (n_pairs, 2)."""
    stop: np.ndarray
    """(n_pairs, 2), wider than `warn`."""


@dataclass(frozen=True)
class Package:
    """A trained quantum potential with everything needed to run and to judge it."""

    name: str
    description: str
    species: tuple[str, ...]
    """Chemical symbols in the atom order that the model serves."""
    architecture: Architecture
    parameters: Parameters
    reference_energy_eV: float
    """Energy of the labels at the model's zero; runs and logs leave it out."""
    domain: Domain
    training: Mapping[str, Any]
    """The training card: data, level of theory, errors, seeds, versions, time."""
    citation: str
    licence: str
    test_positions: np.ndarray
    """angstrom, (n_vectors, n_atoms, 3)"""
    sha256: str = ""
    """Of the file it was read from."""

    def native(self) -> "NativeKernel":
        """The native kernel of the model, with a workspace of its own."""
        kernel = self._kernel
        return kernel._replace(workspace=kernel.workspace.copy())

    @cached_property
    def _kernel(self) -> "NativeKernel":
        from .native import native_kernel

        return native_kernel(self.architecture, self.parameters)

    def potential(self) -> "QuantumPotential":
        """The model as a JAX potential."""
        from .quantum import QuantumPotential

        return QuantumPotential(self.architecture, self.parameters)


def save(path: Path, package: Package, evaluate: Callable[[np.ndarray], tuple[float, np.ndarray]]) -> str:
    """Write a package beside `path` and rename it; returns its SHA-256.

    Parameters
    ----------
    evaluate : callable
        Positions (n_atoms, 3) -> energy and forces, for the test vectors; an interpreter other
        than the native kernel, which will be held to them.
    """
    results = [evaluate(x) for x in package.test_positions]
    members = {
        "parameters.safetensors": save_tensors(
            {k: np.asarray(v, float, order="C") for k, v in package.parameters._asdict().items()}
        ),
        "test_vectors.safetensors": save_tensors(
            {
                "positions": np.ascontiguousarray(package.test_positions, float),
                "energies": np.array([e for e, _ in results], float),
                "forces": np.array([f for _, f in results], float),
            }
        ),
    }
    model = _describe(package) | {
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in members.items()}
    }
    members["model.json"] = json.dumps(model, indent=1, sort_keys=True, allow_nan=False).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in MEMBERS:
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))  # same bytes each time
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, members[name])
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_bytes(buffer.getvalue())
    os.replace(temporary, path)
    return hashlib.sha256(buffer.getvalue()).hexdigest()


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
    if path.is_file():
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
    """
    try:
        data = path.read_bytes() if path.stat().st_size <= MAX_BYTES else b""
        if not data:
            raise PackageError(f"larger than {MAX_BYTES >> 20} MiB, or empty")
        model, parameters, vectors = _read(data)
        package = _build(model, parameters, vectors, hashlib.sha256(data).hexdigest())
        _check_vectors(package, vectors)
    except PackageError as error:
        raise PackageError(f"{path}: not a usable .qmdp package: {error}.") from None
    return package


def _read(data: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray], dict[str, np.ndarray]]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
            missing = [name for name in MEMBERS if name not in entries]
            if missing:
                raise PackageError(f"it lacks {', '.join(missing)}")
            if sum(entry.file_size for entry in entries.values()) > MAX_BYTES:
                raise PackageError(f"its contents are larger than {MAX_BYTES >> 20} MiB")
            members = {name: archive.read(name) for name in MEMBERS}
        model = json.loads(members["model.json"])
        if not isinstance(model, dict) or model.get("format") != "qmdp":
            raise PackageError("model.json does not say format 'qmdp'")
        if model.get("schema") != SCHEMA:
            raise PackageError(f"schema {model.get('schema')!r}, this version reads {SCHEMA}")
        for name in MEMBERS[1:]:
            if hashlib.sha256(members[name]).hexdigest() != model["sha256"][name]:
                raise PackageError(f"the SHA-256 of {name} does not match")
        tensors = [load_tensors(members[name]) for name in MEMBERS[1:]]
    except PackageError:
        raise
    except (
        zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError, OSError,
        SafetensorError, ValueError, KeyError, TypeError, RecursionError, RuntimeError, zlib.error,
    ) as error:  # fmt: skip
        raise PackageError(f"{type(error).__name__}: {_one_line(error)}") from None
    return model, tensors[0], tensors[1]


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or "unreadable"


def _build(
    model: dict[str, Any],
    parameters: dict[str, np.ndarray],
    vectors: dict[str, np.ndarray],
    sha256: str,
) -> Package:
    try:
        architecture = architecture_from_json(model["architecture"])
        values = Parameters(*(parameters[name] for name in Parameters._fields))
        architecture.check(values)
        domain = Domain(
            pairs=np.array(model["domain"]["pairs"], np.int64).reshape(-1, 2),
            warn=np.array(model["domain"]["warn_A"], float).reshape(-1, 2),
            stop=np.array(model["domain"]["stop_A"], float).reshape(-1, 2),
        )
        n_atoms = len(model["species"])
        if n_atoms != architecture.features.n_atoms or vectors["positions"].shape[1:] != (n_atoms, 3):
            raise ValueError("species, features and test vectors disagree about the atoms")
        if not (len(domain.pairs) == len(domain.warn) == len(domain.stop)):
            raise ValueError("the bounds of the domain do not match its pairs")
        if domain.pairs.size and not 0 <= domain.pairs.min() <= domain.pairs.max() < n_atoms:
            raise ValueError("the domain names atoms that do not exist")
        reference = float(model["reference_energy_eV"])
        if not (math.isfinite(reference) and all(np.isfinite(v).all() for v in vectors.values())):
            raise ValueError("it holds numbers that are not finite")
        if model["units"] != UNITS:
            raise ValueError(f"its units are {model['units']}, expected {UNITS}")
        return Package(
            name=str(model["name"]),
            description=str(model["description"]),
            species=tuple(str(s) for s in model["species"]),
            architecture=architecture,
            parameters=values,
            reference_energy_eV=reference,
            domain=domain,
            training=dict(model["training"]),
            citation=str(model["citation"]),
            licence=str(model["licence"]),
            test_positions=vectors["positions"],
            sha256=sha256,
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise PackageError(f"{type(error).__name__}: {_one_line(error)}") from None


def _check_vectors(package: Package, vectors: dict[str, np.ndarray]) -> None:
    from .native import evaluate

    kernel = package.native()
    triples = zip(vectors["positions"], vectors["energies"], vectors["forces"], strict=True)
    for i, (x, expected_energy, expected_forces) in enumerate(triples):
        energy, forces = evaluate(kernel, x)
        if not abs(energy - expected_energy) <= ENERGY_TOLERANCE:
            raise PackageError(f"test vector {i} gives {energy!r} eV, stored {expected_energy!r}")
        if not np.abs(forces - expected_forces).max() <= FORCE_TOLERANCE:
            raise PackageError(f"test vector {i} gives other forces than the stored ones")


def _describe(package: Package) -> dict[str, Any]:
    return {
        "format": "qmdp",
        "schema": SCHEMA,
        "name": package.name,
        "description": package.description,
        "species": list(package.species),
        "units": UNITS,
        "architecture": architecture_to_json(package.architecture),
        "reference_energy_eV": package.reference_energy_eV,
        "domain": {
            "pairs": package.domain.pairs.tolist(),
            "warn_A": package.domain.warn.tolist(),
            "stop_A": package.domain.stop.tolist(),
        },
        "training": dict(package.training),
        "citation": package.citation,
        "licence": package.licence,
    }


def architecture_to_json(architecture: Architecture) -> dict[str, Any]:
    """Features and circuit as plain JSON values; gates in the order in which they act."""
    circuit, features = architecture.circuit, architecture.features
    return {
        "features": {
            "kind": "linear_vectors",
            "weights": [list(row) for row in features.weights],
            "scale_index": list(features.scale_index),
        },
        "circuit": {
            "n_qubits": circuit.n_qubits,
            "n_layers": circuit.n_layers,
            "ancilla": circuit.ancilla,
            "singlets": [list(p) for p in circuit.singlets],
            "encoding": [gate._asdict() for gate in circuit.encoding],
            "layer": [
                {"gate": "heisenberg", "coupling": g.coupling, "pairs": [list(p) for p in g.pairs]}
                if isinstance(g, Heisenberg)
                else {"gate": "rz", "coupling": g.coupling, "qubits": list(g.qubits)}
                for g in circuit.layer
            ],
            "observables": [
                {"pairs": [list(p) for p in o.pairs], "with_ancilla": o.with_ancilla}
                for o in circuit.observables
            ],
        },
        "head": {"kind": "linear"},
    }


def architecture_from_json(data: Mapping[str, Any]) -> Architecture:
    """The inverse of `architecture_to_json`.

    Raises
    ------
    ValueError, KeyError, TypeError
        If a kind is unknown or a value does not fit.
    """
    kinds = (data["features"]["kind"], data["head"]["kind"])
    if kinds != ("linear_vectors", "linear"):
        raise ValueError(f"features and head {kinds} are unknown to this version")
    circuit = data["circuit"]
    features = LinearVectors(
        weights=tuple(tuple(float(w) for w in row) for row in data["features"]["weights"]),
        scale_index=tuple(int(i) for i in data["features"]["scale_index"]),
    )
    return Architecture(
        features,
        Circuit(
            n_qubits=int(circuit["n_qubits"]),
            n_layers=int(circuit["n_layers"]),
            singlets=_pairs(circuit["singlets"]),
            encoding=tuple(Encode(int(g["vector"]), int(g["qubit"])) for g in circuit["encoding"]),
            layer=tuple(_gate(g) for g in circuit["layer"]),
            observables=tuple(
                Observable(_pairs(o["pairs"]), bool(o["with_ancilla"]))
                for o in circuit["observables"]
            ),
            ancilla=None if circuit["ancilla"] is None else int(circuit["ancilla"]),
        ),
    )


def _pairs(values: list[list[int]]) -> tuple[tuple[int, int], ...]:
    return tuple((int(p), int(q)) for p, q in values)


def _gate(data: Mapping[str, Any]) -> Heisenberg | RotationZ:
    if data["gate"] == "heisenberg":
        return Heisenberg(int(data["coupling"]), _pairs(data["pairs"]))
    if data["gate"] == "rz":
        return RotationZ(int(data["coupling"]), tuple(int(q) for q in data["qubits"]))
    raise ValueError(f"gate {data['gate']!r} is unknown to this version")
