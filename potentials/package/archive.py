"""The zip of a package: its members, with bounds before anything is unpacked."""

import hashlib
import io
import json
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qmd import atomic

from .package import PackageError

MEMBERS = ("model.json", "parameters.safetensors", "test_vectors.safetensors")
MAX_BYTES, MAX_MODEL_BYTES = 2**24, 2**20
"""Sizes of the file and of its contents, and of model.json. A water model takes 3 kB."""


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a regular file of at most `MAX_BYTES`."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # a pipe would block, a device never end
        raise PackageError("not a regular file")
    if not 0 < status.st_size <= MAX_BYTES:
        raise PackageError(f"larger than {MAX_BYTES >> 20} MiB, or empty")
    return path.read_bytes()


def members_of(data: bytes) -> dict[str, bytes]:
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


def write(path: Path, model: Mapping[str, Any], tensors: Mapping[str, bytes]) -> str:
    """Write a package, the same bytes each time; return its SHA-256."""
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
