"""Header and size arithmetic of NetCDF 64-bit-offset files (CDF-2), in plain Python.

The NetCDF libraries cannot be asked whether a file is whole: netCDF4 opens a truncated one without
an error and returns zeros for the missing frames; of 300 flipped header bits it misread 5 silently,
hung on 4 and crashed on 1; a 132-byte file made it allocate 2 GB. So this parser reads the header
first, and everything that it accepts fits into the file. It is also all that a writer needs: a file
is the header, the fixed variables, then records of one size.

References
----------
.. [1] NetCDF Classic and 64-bit Offset File Formats, OGC 10-092r3, appendix with the grammar.
"""

import math
import os
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from qmd.errors import CorruptError
from qmd.io.files import output_errors, read_bytes, write_all

MAX_HEADER_BYTES = 2**20
MAX_DIMENSION = 1_000_000
MAX_RANK = 8
MAX_RECORD_BYTES = 2**31 - 1
"""Largest item size of a NumPy type."""

_MAGIC = b"CDF\x02"
_STREAMING = 2**32 - 1
_DIMENSION, _VARIABLE, _ATTRIBUTE = 10, 11, 12
_TYPES = {1: ">i1", 2: "S1", 3: ">i2", 4: ">i4", 5: ">f4", 6: ">f8"}
_CODES = {name: code for code, name in _TYPES.items()}

_T = TypeVar("_T")
Value = str | tuple[float, ...]
"""Value of an attribute."""


class Variable(NamedTuple):
    """One variable: NumPy type, dimensions by name, attributes, place in the file (bytes)."""

    type: str
    dims: tuple[str, ...]
    attributes: Mapping[str, Value] = {}
    begin: int = 0


@dataclass(frozen=True)
class Header:
    """Contents of the header of a file.

    Attributes
    ----------
    n_frames : int
        Number of records, as written; `check` compares it with the size of the file.
    dims : mapping of str to int
        Lengths; 0 is the record dimension.
    attributes : mapping of str to Value
        Global attributes.
    variables : mapping of str to Variable
        In the order of definition, which is the order in the file.
    begin : int
        Where the records begin, and the size of a file without any (bytes).
    record : numpy.dtype
        Structured type of one record, padding included; its `itemsize` is the record size.
    """

    n_frames: int
    dims: Mapping[str, int]
    attributes: Mapping[str, Value]
    variables: Mapping[str, Variable]
    begin: int
    record: np.dtype[np.void]

    def size(self, n_frames: int) -> int:
        """Size in bytes of a file with `n_frames` records."""
        return self.begin + n_frames * self.record.itemsize

    def frames_in(self, size: int) -> int:
        """Number of whole records in a file of `size` bytes."""
        return max(0, size - self.begin) // max(1, self.record.itemsize)


def read(path: Path) -> Header:
    """Header of `path`, without a look at the frames.

    Raises
    ------
    InputError
        If `path` is missing, unreadable or not a regular file.
    CorruptError
        If it does not begin with a complete and consistent CDF-2 header.
    """
    data = read_bytes(path, MAX_HEADER_BYTES)
    if not data:
        raise CorruptError(f"{path} is empty; expected a NetCDF trajectory.")
    try:
        return parse(data)
    except ValueError as error:
        raise CorruptError(f"{path} is not a usable NetCDF trajectory: {error}.") from error


def check(path: Path) -> Header:
    """Header of `path`, which holds every frame that the header counts.

    Raises
    ------
    InputError, CorruptError
        As `read`; also if frames are missing: "12 of 20 frames present".
    """
    header = read(path)
    if header.n_frames == _STREAMING:
        raise CorruptError(f"{path}: the number of frames is unset (still streaming).")
    size = path.stat().st_size
    if not size >= header.size(header.n_frames):
        present = header.frames_in(size)
        raise CorruptError(
            f"{path} is truncated: {present} of {header.n_frames} frames present.",
            "Restore it from a copy; `qmd.io.netcdf.set_frames` cuts it to its whole frames.",
        )
    return header


def set_frames(path: Path, n_frames: int) -> None:
    """Cut `path` to its first `n_frames` frames, on the disk when this returns.

    The count may also be larger than the header says, if the frames are there, so this repairs
    a truncated or unfinished file.

    Raises
    ------
    InputError, CorruptError
        As `read`; also if there are fewer than `n_frames` whole frames.
    OutputError
        If the file cannot be written.
    """
    header = read(path)
    present = header.frames_in(path.stat().st_size)
    if not 0 <= n_frames <= present:
        raise CorruptError(f"{path} is truncated: {present} of {n_frames} frames present.")
    with output_errors(path):
        fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        try:
            write_n_frames(fd, n_frames)  # first: surplus bytes do no harm, missing frames do
            os.ftruncate(fd, header.size(n_frames))
            os.fsync(fd)
        finally:
            os.close(fd)


def write_n_frames(fd: int, n_frames: int) -> None:
    """Write the number of records into an open CDF-2 file."""
    write_all(fd, struct.pack(">I", n_frames), 4)


def encode(
    dims: Mapping[str, int], attributes: Mapping[str, str], variables: Mapping[str, Variable]
) -> bytes:
    """Header of a file without frames, byte for byte as the NetCDF library writes it.

    Parameters
    ----------
    dims : mapping of str to int
        Lengths; 0 for the record dimension.
    attributes : mapping of str to str
        Global attributes.
    variables : mapping of str to Variable
        Those with the record dimension last; text attributes only. Each `begin` is computed.
    """
    head = _MAGIC + struct.pack(">I", 0)
    head += _list(_DIMENSION, [_text(name) + struct.pack(">I", n) for name, n in dims.items()])
    head += _encode_attributes(attributes)
    end = len(head) + len(_encode_variables(dims, variables, begin=0))
    return head + _encode_variables(dims, variables, begin=end)


def parse(data: bytes) -> Header:
    """Read a header from the beginning of a file; raises `ValueError` with the reason."""
    cursor = _Cursor(data)
    if cursor.take(4) != _MAGIC:
        raise ValueError(f"it begins with {data[:4]!r}, not with {_MAGIC!r} (64-bit offset)")
    n_frames = cursor.u32()
    dims = cursor.items(_DIMENSION, cursor.dimension)
    if list(dims.values()).count(0) > 1:
        raise ValueError("it has two record dimensions")
    attributes = cursor.items(_ATTRIBUTE, cursor.value)
    variables = cursor.items(_VARIABLE, lambda: cursor.variable(dims))
    begin, record = _lay_out(dims, variables, cursor.at)
    return Header(n_frames, dims, attributes, variables, begin, record)


class _Cursor:
    """Reads the header grammar; no count allocates anything before its bytes are seen."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def take(self, n: int) -> bytes:
        if not n <= len(self._data) - self.at:
            raise ValueError(f"its header ends early or is above {MAX_HEADER_BYTES} bytes")
        self.at += n
        return self._data[self.at - n : self.at]

    def u32(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def padded(self, n: int) -> bytes:
        data = self.take(n)
        if any(self.take(-n % 4)):
            raise ValueError("the padding in its header is not zero")
        return data

    def text(self) -> str:
        return self.padded(self.u32()).decode()

    def items(self, tag: int, read_item: Callable[[], _T]) -> dict[str, _T]:
        found_tag, count = self.u32(), self.u32()
        if not (found_tag == tag or found_tag == count == 0):
            raise ValueError(f"its header holds {found_tag} where the tag {tag} is due")
        found: dict[str, _T] = {}
        for _ in range(count):
            name = self.text()
            if name in found:
                raise ValueError(f"it defines {name!r} twice")
            found[name] = read_item()
        return found

    def dimension(self) -> int:
        length = self.u32()
        if not length <= MAX_DIMENSION:
            raise ValueError(f"a dimension is {length}, the limit is {MAX_DIMENSION}")
        return length

    def type(self) -> str:
        code = self.u32()
        if code not in _TYPES:
            raise ValueError(f"type {code} is not one of {min(_TYPES)} to {max(_TYPES)}")
        return _TYPES[code]

    def value(self) -> Value:
        kind, n = self.type(), self.u32()
        data = self.padded(n * np.dtype(kind).itemsize)
        return data.decode() if kind == "S1" else tuple(np.frombuffer(data, kind).tolist())

    def variable(self, dims: Mapping[str, int]) -> Variable:
        names = tuple(dims)
        rank = self.u32()
        if not rank <= MAX_RANK:
            raise ValueError(f"a variable has {rank} dimensions, the limit is {MAX_RANK}")
        indices = [self.u32() for _ in range(rank)]
        if not all(i < len(names) for i in indices):
            raise ValueError("a variable has an undefined dimension")
        attributes, kind = self.items(_ATTRIBUTE, self.value), self.type()
        vsize, begin = self.u32(), int.from_bytes(self.take(8), "big")
        variable = Variable(kind, tuple(names[i] for i in indices), attributes, begin)
        # Redundant, but SciPy, and so MDAnalysis, computes the record size from it.
        if vsize != _padded_size(variable, dims):
            raise ValueError(f"a variable claims {vsize} bytes, which its shape contradicts")
        return variable


def _is_record(variable: Variable, dims: Mapping[str, int]) -> bool:
    return bool(variable.dims) and dims[variable.dims[0]] == 0


def _shape(variable: Variable, dims: Mapping[str, int]) -> tuple[int, ...]:
    """Shape of the fixed variable, or of one record of it."""
    return tuple(dims[name] for name in variable.dims[_is_record(variable, dims) :])


def _size(variable: Variable, dims: Mapping[str, int]) -> int:
    shape = _shape(variable, dims)
    if 0 in shape:
        raise ValueError("a variable has the record dimension behind another one")
    size = math.prod(shape) * np.dtype(variable.type).itemsize
    if not size <= MAX_RECORD_BYTES:
        raise ValueError(f"a variable has {size} bytes, the limit is {MAX_RECORD_BYTES}")
    return size


def _padded_size(variable: Variable, dims: Mapping[str, int]) -> int:
    size = _size(variable, dims)
    return size + -size % 4


def _lay_out(
    dims: Mapping[str, int], variables: Mapping[str, Variable], end: int
) -> tuple[int, np.dtype[np.void]]:
    """Return the offset of the records and their type; `end` is the length of the header."""
    records = {name: v for name, v in variables.items() if _is_record(v, dims)}
    for name, variable in variables.items():
        if name not in records:
            if not variable.begin >= end:
                raise ValueError(f"the data of {name!r} overlap with others")
            end = variable.begin + _padded_size(variable, dims)
    begin = next((v.begin for v in records.values()), end)
    if not begin >= end:
        raise ValueError("the frames overlap with other data")
    offsets, itemsize = [], 0
    for name, variable in records.items():  # readers assume that they follow without gaps
        if variable.begin != begin + itemsize:
            raise ValueError(f"the data of {name!r} are not where they are due")
        offsets.append(itemsize)
        # The format's own exception: a record variable that is alone is not padded.
        itemsize += (_size if len(records) == 1 else _padded_size)(variable, dims)
    if not itemsize <= MAX_RECORD_BYTES:
        raise ValueError(f"a frame has {itemsize} bytes, the limit is {MAX_RECORD_BYTES}")
    record = np.dtype(
        {
            "names": list(records),
            "formats": [(v.type, _shape(v, dims)) for v in records.values()],
            "offsets": offsets,
            "itemsize": itemsize,
        }
    )
    return begin, record


def _list(tag: int, items: list[bytes]) -> bytes:
    return struct.pack(">II", tag if items else 0, len(items)) + b"".join(items)


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">I", len(data)) + data + bytes(-len(data) % 4)


def _encode_attributes(attributes: Mapping[str, Value]) -> bytes:
    char = struct.pack(">I", _CODES["S1"])
    return _list(_ATTRIBUTE, [_text(name) + char + _text(str(v)) for name, v in attributes.items()])


def _encode_variables(
    dims: Mapping[str, int], variables: Mapping[str, Variable], begin: int
) -> bytes:
    index = {name: i for i, name in enumerate(dims)}
    items = []
    for name, variable in variables.items():
        ids = [index[dim] for dim in variable.dims]
        size = _padded_size(variable, dims)
        items.append(
            _text(name)
            + struct.pack(f">{1 + len(ids)}I", len(ids), *ids)
            + _encode_attributes(variable.attributes)
            + struct.pack(">IIQ", _CODES[variable.type], size, begin)
        )
        begin += size
    return _list(_VARIABLE, items)
