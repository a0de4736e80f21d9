"""Checkpoints: all that an exact restart needs, in one file that is whole or refused.

=======  ==========================================================================
bytes    content
=======  ==========================================================================
8        ``QMDCKPT1``
32       SHA-256 of all that follows
8        length of the header, little-endian
length   header, canonical JSON (sorted keys, ASCII, no spaces)
rest     float64, little-endian: positions, velocities, forces (n_atoms, 3), energy
=======  ==========================================================================

Of replicas the arrays have shape (n, n_atoms, 3), the energies (n,), and the header says which
replicas they are and which have failed.

The forces are stored because computing them again may differ in the last bit. No state of a
random generator is: the noise is a function of (seed, replica, step).
"""

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from qmd.errors import CorruptError, InputError, NumericalError, QmdError
from qmd.io import files
from qmd.typing import Array

SCHEMA, SCHEMA_OF_REPLICAS = 1, 2
MAX_BYTES = 2**27
"""Room for a million atoms, the limit of the trajectory format."""

_MAGIC = b"QMDCKPT1"
_HEADER_TYPES: dict[str, type] = {
    "step": int,
    "seed": int,
    "replica": int,
    "outputs": dict,
    "input_sha256": str,
    "config": dict,
    "model_sha256": str,
    "versions": dict,
}
_OF_REPLICAS: dict[str, type] = {"replicas": list, "failures": list}


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """State of a run after `step` steps, and of its outputs at that moment.

    Attributes
    ----------
    step, seed, replica : int
        Steps done; the two other arguments of the noise.
    outputs : dict
        ``{"trajectory": {"frames": .., "bytes": .., "digest": ..}, "log": {"bytes": ..}}``: how
        far each output is to be kept when the run goes on.
    input_sha256, model_sha256 : str
        Digests of the input file and of the potential.
    config : dict
        The resolved input; JSON types only.
    versions : dict of str to str
        Library versions: bits are promised for the same ones only.
    positions, velocities, forces : float array, shape (n_atoms, 3) or (n, n_atoms, 3)
        Internal units: angstrom, sqrt(eV/u), eV/angstrom.
    energy : float or float array, shape (n,)
        Potential energy (eV).
    replicas : list of int, optional
        Of a run of replicas, those that the n rows belong to.
    failures : list of list, optional
        Of a run of replicas, those that a guard has dropped: replica, step, cause.
    """

    step: int
    seed: int
    replica: int
    outputs: dict[str, dict[str, Any]]
    input_sha256: str
    config: dict[str, Any]
    model_sha256: str
    versions: dict[str, str]
    positions: Array
    velocities: Array
    forces: Array
    energy: float | Array
    replicas: list[int] | None = None
    failures: list[list[Any]] | None = None


def write(path: Path, checkpoint: Checkpoint) -> None:
    """Replace `path` by `checkpoint`, and keep the one before as `path`.prev.

    If `path` holds just this checkpoint already, both stay: two equal ones are no better than one.
    Sync and fsync the outputs first: a checkpoint must not count frames that are not on the disk.

    Raises
    ------
    NumericalError
        If a value is not finite; the old checkpoint stays.
    OutputError
        If the disk does not take it; the old checkpoint stays.
    """
    if not np.isfinite(_values(checkpoint)).all():
        raise NumericalError(
            f"The state at step {checkpoint.step} is not finite; the last checkpoint is kept.",
            "Try a smaller `timestep_fs`, or check the potential.",
        )
    data = encode(checkpoint)
    old = _content(path)
    if old != data:
        # A damaged file must not push the good `.prev` aside, from which this run perhaps started.
        files.replace(path, data, keep_previous=_is_good(old))


def read(path: Path) -> Checkpoint:
    """Read and validate one checkpoint file.

    Raises
    ------
    InputError
        If `path` is missing or unreadable.
    CorruptError
        If it is empty, damaged, of another kind, or from a newer version.
    """
    try:
        return decode(files.read_bytes(path, MAX_BYTES + 1))
    except _NewerSchema as error:
        raise _NewerCheckpoint(f"{path} {error}.", "Go on with the newer version.") from None
    except ValueError as error:
        raise CorruptError(
            f"{path} {error}.", "Restore it from a copy, or start again in another output folder."
        ) from None


def read_latest(path: Path) -> tuple[Checkpoint, str | None]:
    """Read `path`, or `path`.prev if that is damaged or missing.

    Returns
    -------
    checkpoint : Checkpoint
        The newest good one.
    note : str or None
        What was wrong with `path` and which step the run goes on from, for the user.

    Raises
    ------
    InputError, CorruptError
        As `read`, if there is no other. A checkpoint from a newer version is not damaged: the
        older one is not taken in its place.
    """
    previous = path.with_name(path.name + ".prev")
    try:
        return read(path), None
    except _NewerCheckpoint:
        raise
    except QmdError as error:
        if not previous.exists():
            raise
        checkpoint = read(previous)
        return checkpoint, f"{error} Going on from {previous} at step {checkpoint.step}."


def encode(checkpoint: Checkpoint) -> bytes:
    """The bytes of a checkpoint file: equal for equal checkpoints."""
    single = checkpoint.replicas is None
    names = _HEADER_TYPES if single else _HEADER_TYPES | _OF_REPLICAS
    fields = {name: getattr(checkpoint, name) for name in names}
    fields["schema"] = SCHEMA if single else SCHEMA_OF_REPLICAS
    fields["n_atoms"] = checkpoint.positions.shape[-2]
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False)
    header = text.encode("ascii")
    payload = len(header).to_bytes(8, "little") + header + _values(checkpoint).tobytes()
    return _MAGIC + hashlib.sha256(payload).digest() + payload


def decode(data: bytes) -> Checkpoint:
    """Inverse of `encode`; raises `ValueError` with the reason."""
    if not len(data) <= MAX_BYTES:
        raise ValueError(f"has more than {MAX_BYTES} bytes and is not a qmd checkpoint")
    if not data:
        raise ValueError("is empty")
    if data[:8] != _MAGIC:
        raise ValueError("is not a qmd checkpoint")
    digest, payload = data[8:40], data[40:]
    if hashlib.sha256(payload).digest() != digest:
        raise ValueError("is damaged: its SHA-256 does not match")
    end = 8 + int.from_bytes(payload[:8], "little")
    header = _decode_header(payload[8:end])
    n_atoms = header.pop("n_atoms")
    rows = () if "replicas" not in header else (len(header["replicas"]),)
    n = math.prod(rows)
    if len(payload) - end != 8 * n * (9 * n_atoms + 1):
        raise ValueError(f"is damaged: its size does not fit {n_atoms} atoms")
    values = np.frombuffer(payload[end:], "<f8").astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError("is damaged: it holds values that are not finite")
    positions, velocities, forces = values[: len(values) - n].reshape(3, *rows, n_atoms, 3)
    return Checkpoint(
        **header,
        positions=positions,
        velocities=velocities,
        forces=forces,
        energy=values[len(values) - n :] if rows else float(values[-1]),
    )


class _NewerSchema(ValueError):
    pass


class _NewerCheckpoint(CorruptError):
    pass


def _decode_header(data: bytes) -> dict[str, Any]:
    try:
        header = json.loads(data)
    except (ValueError, RecursionError):
        raise ValueError("is damaged: its header is not JSON") from None
    schema = header.pop("schema", None) if isinstance(header, dict) else None
    if type(schema) is not int:
        raise ValueError("is damaged: its header has no schema version")
    if schema > SCHEMA_OF_REPLICAS:
        raise _NewerSchema(
            f"has schema version {schema}, this version of qmd reads {SCHEMA_OF_REPLICAS}"
        )
    types = _HEADER_TYPES | {"n_atoms": int}
    types |= _OF_REPLICAS if schema == SCHEMA_OF_REPLICAS else {}
    if {name: type(value) for name, value in header.items()} != types:
        raise ValueError("is damaged: its header lacks entries or has wrong ones")
    return dict(header)


def _values(checkpoint: Checkpoint) -> Array:
    vectors = (checkpoint.positions, checkpoint.velocities, checkpoint.forces)
    return np.concatenate([*(v.ravel() for v in vectors), np.ravel(checkpoint.energy)], dtype="<f8")


def _content(path: Path) -> bytes:
    try:
        return files.read_bytes(path, MAX_BYTES + 1)
    except InputError:
        return b""


def _is_good(data: bytes) -> bool:
    try:
        decode(data)
    except ValueError:
        return False
    return True
