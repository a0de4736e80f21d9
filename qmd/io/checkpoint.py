"""Checkpoints: all that an exact restart needs, in one file that is whole or refused.

=======  ==========================================================================
bytes    content
=======  ==========================================================================
8        ``QMDCKPT1``
32       SHA-256 of all that follows
8        length of the header, little-endian
length   header, canonical JSON (sorted keys, ASCII, no spaces)
rest     the arrays, little-endian, in the order of their names
=======  ==========================================================================

The header lists the arrays under `arrays`: each name with its type and shape. They are those of
`qmd.integrators.Batch`, with one row for each replica; a run of one trajectory has one row. The
header also names the variables of the integrator, the columns of `baths`.

The forces are stored because computing them again may differ in the last bit. No state of a
random generator is: the noise is a function of (seed, replica, step).
"""

import hashlib
import json
import math
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from qmd.errors import CorruptError, InputError, NumericalError, QmdError
from qmd.integrators import Batch
from qmd.io import files
from qmd.io.faults import MAX_DEPTH, first_fault, is_shallow

SCHEMA = 4
MAX_BYTES = 2**27
"""Room for a million atoms, the limit of the trajectory format."""

_MAGIC = b"QMDCKPT1"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """State of a run, and of its outputs at that moment.

    Attributes
    ----------
    batch : Batch
        States of the replicas that run, at one step.
    seed, replica : int
        Of the noise; `replica` is that of the first replica at the start.
    outputs : dict
        Under the name of each reporter what its `sync` returned: how far its output is to be kept
        when the run is resumed.
    input_sha256, model_sha256 : str
        Digests of the input file and of the potential.
    config : dict
        The resolved input; JSON types only.
    versions : dict of str to str
        Library versions: bits are promised for the same ones only.
    bath_variables : list of str
        Names of the variables of the integrator, in the order of ``batch.baths``.
    failures : list of list
        Replicas that a guard has dropped: step, replica, cause.
    """

    batch: Batch
    seed: int
    replica: int
    outputs: dict[str, dict[str, Any]]
    input_sha256: str
    config: dict[str, Any]
    model_sha256: str
    versions: dict[str, str]
    bath_variables: list[str] = field(default_factory=list)
    failures: list[list[Any]] = field(default_factory=list)

    @property
    def step(self) -> int:
        """Number of steps that the run has made."""
        return self.batch.step


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
    if not all(np.isfinite(array).all() for array in checkpoint.batch.as_arrays().values()):
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
        If it is empty, damaged, of another kind, or from another version of the format.
    """
    try:
        return decode(files.read_bytes(path, MAX_BYTES + 1))
    except _OtherSchema as error:
        raise _OtherCheckpoint(f"{path} {error}.", error.advice) from None
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
        As `read`, if there is no other. A checkpoint from another version is not damaged: the
        one before is not taken in its place.
    """
    previous = path.with_name(path.name + ".prev")
    try:
        return read(path), None
    except _OtherCheckpoint:
        raise
    except QmdError as error:
        if not previous.exists():
            raise
        checkpoint = read(previous)
        return checkpoint, f"{error} Going on from {previous} at step {checkpoint.step}."


def encode(checkpoint: Checkpoint) -> bytes:
    """The bytes of a checkpoint file: equal for equal checkpoints."""
    arrays = checkpoint.batch.as_arrays()
    header: dict[str, Any] = {
        part.name: getattr(checkpoint, part.name)
        for part in fields(Checkpoint)
        if part.name != "batch"
    }
    n, n_atoms, _ = arrays["positions"].shape
    layout = _layout(n, n_atoms, arrays["baths"].shape[1])
    header |= {"schema": SCHEMA, "step": checkpoint.step, "arrays": layout}
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), allow_nan=False)
    head = text.encode("ascii")
    values = b"".join(arrays[name].astype(layout[name][0]).tobytes() for name in sorted(layout))
    payload = len(head).to_bytes(8, "little") + head + values
    return _MAGIC + hashlib.sha256(payload).digest() + payload


def _layout(n: int, n_atoms: int, n_bath: int) -> dict[str, list[Any]]:
    """Type and shape of each array of a batch."""
    vectors = ["<f8", n, n_atoms, 3]
    return {
        "positions": vectors,
        "velocities": vectors,
        "forces": vectors,
        "energies": ["<f8", n],
        "cells": ["<f8", n, 3, 3],
        "baths": ["<f8", n, n_bath],
        "replicas": ["<i8", n],
    }


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
    batch = Batch(**_arrays(header.pop("arrays"), payload[end:]), step=header.pop("step"))
    if not all(np.isfinite(array).all() for array in batch.as_arrays().values()):
        raise ValueError("is damaged: it holds values that are not finite")
    _check_rows(batch, header)
    return Checkpoint(batch=batch, **header)


def _check_rows(batch: Batch, header: dict[str, Any]) -> None:
    """Raise ValueError unless rows and columns are what the header says of them."""
    if not ((batch.replicas >= 0) & (batch.replicas < 2**32)).all():
        raise ValueError("is damaged: it has replicas of no number")
    if batch.baths.shape[1] != len(header["bath_variables"]):
        raise ValueError("is damaged: its bath variables do not fit its names of them")


def _arrays(layout: dict[str, Any], data: bytes) -> dict[str, Any]:
    """The arrays in `data`; raises `ValueError` unless `layout` is that of a batch, and of it."""
    try:
        (_, n, n_atoms, _), (_, _, n_bath) = layout["positions"], layout["baths"]
        sizes = {name: 8 * math.prod(shape) for name, (_, *shape) in sorted(layout.items())}
        whole = all(type(number) is int and number >= 0 for number in (n, n_atoms, n_bath))
        fits = whole and (layout, sum(sizes.values())) == (_layout(n, n_atoms, n_bath), len(data))
    except (KeyError, TypeError, ValueError):
        fits = False
    if not fits:
        raise ValueError("is damaged: its arrays do not fit each other, or not its size")
    arrays, at, layout = {}, 0, _layout(n, n_atoms, n_bath)  # equal, but True is 1 and 1.0 is 1
    for name in sorted(layout):
        kind, *shape = layout[name]
        size = 8 * math.prod(shape)
        values = np.frombuffer(data, kind, size // 8, at).astype(np.dtype(kind).newbyteorder("="))
        arrays[name], at = values.reshape(shape), at + size
    return arrays


class _OtherSchema(ValueError):
    def __init__(self, schema: int) -> None:
        super().__init__(f"has schema version {schema}, this version of qmd reads {SCHEMA} only")
        self.advice = "Resume with the newer version."
        if schema < SCHEMA:
            self.advice = (
                "Finish the run with the version of qmd that began it, or begin again with "
                "--overwrite."
            )


class _OtherCheckpoint(CorruptError):
    pass


def _decode_header(data: bytes) -> dict[str, Any]:
    try:
        header = json.loads(data)
    except (ValueError, RecursionError):
        raise ValueError("is damaged: its header is not JSON") from None
    schema = header.pop("schema", None) if isinstance(header, dict) else None
    if type(schema) is not int:
        raise ValueError("is damaged: its header has no schema version")
    if schema != SCHEMA:
        raise _OtherSchema(schema)
    if not is_shallow(header):
        raise ValueError(f"is damaged: its header is nested deeper than {MAX_DEPTH}")
    arrays = header.pop("arrays", None)
    from pydantic import ValidationError  # here: a start that resumes nothing needs no schema

    from qmd.io.checkpoint_header import Header

    try:
        Header.model_validate(header)
    except ValidationError as error:
        raise ValueError(
            f"is damaged: its header lacks entries or has wrong ones: {first_fault(error)}"
        ) from None
    if not isinstance(arrays, dict):
        raise ValueError("is damaged: its header has no arrays")
    return {**header, "arrays": arrays}


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
