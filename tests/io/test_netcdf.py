"""The header parser against the NetCDF library, and against damaged files."""

import os
import struct
from pathlib import Path

import netCDF4
import numpy as np
import pytest

from qmd.errors import CorruptError, InputError
from qmd.io import netcdf
from qmd.io.netcdf import Variable

DIMS = {"frame": 0, "odd": 3, "atom": 5}
UNITS = {"units": "angstrom"}
LAYOUTS = {
    "doubles": {"a": Variable(">f8", ("frame",)), "b": Variable(">f4", ("frame", "atom", "odd"))},
    "padded": {"a": Variable("S1", ("frame", "odd")), "b": Variable(">i2", ("frame", "atom"))},
    "alone": {"a": Variable("S1", ("frame", "odd"))},
    "alone_short": {"a": Variable(">i2", ("frame", "atom"))},
    "fixed": {"z": Variable(">i4", ("atom",), UNITS), "a": Variable(">f4", ("frame", "odd"))},
    "mixed": {
        "s": Variable(">f8", ()),
        "c": Variable("S1", ("odd",)),
        "a": Variable(">f8", ("frame",)),
    },
}


@pytest.fixture(params=LAYOUTS)
def library_file(request, tmp_path: Path) -> tuple[Path, dict[str, Variable]]:
    """Four frames, written by the NetCDF library; all values are 65 = b"A"."""
    variables = LAYOUTS[request.param]
    path = tmp_path / "library.nc"
    with netCDF4.Dataset(path, "w", format="NETCDF3_64BIT_OFFSET") as file:
        file.set_fill_off()
        file.setncatts({"title": "abc", "Conventions": "AMBER"})
        for name, length in DIMS.items():
            file.createDimension(name, length or None)
        for name, variable in variables.items():
            kind = variable.type.lstrip(">")  # the format is big-endian by itself
            file.createVariable(name, kind, variable.dims).setncatts(variable.attributes)
        for name, variable in variables.items():
            shape = [DIMS[dim] or 4 for dim in variable.dims]
            file[name][...] = np.full(shape, b"A" if variable.type == "S1" else 65)
    return path, variables


def test_the_sizes_agree_with_the_library(library_file) -> None:
    path, variables = library_file
    header = netcdf.check(path)
    assert header.n_frames == 4
    assert header.dims == DIMS
    assert header.attributes == {"title": "abc", "Conventions": "AMBER"}
    assert {n: v._replace(begin=0) for n, v in header.variables.items()} == variables
    # The library rounds the end of the file up to four bytes.
    assert 0 <= path.stat().st_size - header.size(4) < 4


def test_the_record_type_reads_the_library_s_frames(library_file) -> None:
    path, _ = library_file
    header = netcdf.read(path)
    frames = np.frombuffer(path.read_bytes()[: header.size(4)], header.record, 4, header.begin)
    for name in header.record.names:
        assert np.all(frames[name] == (b"A" if frames[name].dtype.kind == "S" else 65))


def test_an_encoded_header_is_byte_for_byte_the_library_s(library_file) -> None:
    path, variables = library_file
    header = netcdf.encode(DIMS, {"title": "abc", "Conventions": "AMBER"}, variables)
    expected = bytearray(path.read_bytes()[: len(header)])
    expected[4:8] = bytes(4)  # the number of frames
    assert header == bytes(expected)


def test_the_library_goes_on_where_a_file_was_cut(library_file) -> None:
    path, variables = library_file
    netcdf.set_frames(path, 2)
    assert path.stat().st_size == netcdf.check(path).size(2)
    with netCDF4.Dataset(path, "a") as file:
        shape = [DIMS[dim] for dim in variables["a"].dims[1:]]
        file["a"][2] = np.full(shape, b"B" if variables["a"].type == "S1" else 66)
    header = netcdf.check(path)
    frames = np.frombuffer(path.read_bytes()[: header.size(3)], header.record, 3, header.begin)
    codes = [65, 65, 66]
    for frame, code in zip(frames["a"], codes, strict=True):
        assert np.all(frame == (bytes([code]) if frame.dtype.kind == "S" else code))


def small_file(path: Path, n_frames: int = 20) -> bytes:
    """A file with frames full of ones."""
    header = netcdf.encode(DIMS, {"title": "abc"}, LAYOUTS["doubles"])
    size = netcdf.parse(header).record.itemsize
    data = header[:4] + struct.pack(">I", n_frames) + header[8:] + b"\1" * (n_frames * size)
    path.write_bytes(data)
    return data


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.nc"
    whole = small_file(path)
    for length in reversed(range(len(whole))):
        os.truncate(path, length)
        with pytest.raises(CorruptError):
            netcdf.check(path)


@pytest.mark.parametrize("missing", [1, 60, 1000])
def test_the_message_counts_the_frames_that_are_left(tmp_path: Path, missing: int) -> None:
    path = tmp_path / "cut.nc"
    whole = small_file(path)
    path.write_bytes(whole[:-missing])
    left = 20 - -(-missing // 68)  # a record has 8 + 4 * 5 * 3 bytes
    with pytest.raises(CorruptError, match=f"truncated: {left} of 20 frames present"):
        netcdf.check(path)
    netcdf.set_frames(path, left)
    assert netcdf.check(path).n_frames == left


@pytest.mark.parametrize("n_frames", [21, 2**31, 2**32 - 2, 2**32 - 1])
def test_a_frame_count_above_the_size_is_refused(tmp_path: Path, n_frames: int) -> None:
    path = tmp_path / "patched.nc"
    whole = small_file(path)
    path.write_bytes(whole[:4] + struct.pack(">I", n_frames) + whole[8:])
    with pytest.raises(CorruptError, match="of frames is unset|20 of"):
        netcdf.check(path)


def test_frames_that_are_not_there_cannot_be_set(tmp_path: Path) -> None:
    path = tmp_path / "short.nc"
    whole = small_file(path)
    with pytest.raises(CorruptError, match="20 of 21 frames present"):
        netcdf.set_frames(path, 21)
    assert path.read_bytes() == whole


def test_bytes_behind_the_last_frame_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "longer.nc"
    whole = small_file(path)
    path.write_bytes(whole + b"torn frame")
    assert netcdf.check(path).n_frames == 20
    netcdf.set_frames(path, 20)
    assert path.read_bytes() == whole


def overwrite(path: Path, data: bytes | bytearray) -> None:
    """In place: replacing the file as a whole is flushed to the disk, 20 times slower."""
    with open(path, "r+b") as file:
        file.write(data)


def places(header: netcdf.Header) -> list[int]:
    fields = header.record.fields.values()
    declared = [variable.begin for variable in header.variables.values()]
    return [header.begin, header.record.itemsize, *declared, *(offset for _, offset in fields)]


def test_no_flipped_header_bit_moves_a_frame_unnoticed(tmp_path: Path) -> None:
    path = tmp_path / "flipped.nc"
    whole = small_file(path)
    sound = netcdf.check(path)
    rng = np.random.default_rng(1)
    refused = 0
    for bit in rng.choice(8 * sound.begin, size=500, replace=False).tolist():
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        overwrite(path, damaged)
        try:
            header = netcdf.check(path)
        except CorruptError:
            refused += 1
            continue
        assert places(header) == places(sound)  # names, attributes and f4 or i4 may differ
    assert refused > 250


def test_arbitrary_damage_gives_a_reason_and_nothing_else(tmp_path: Path) -> None:
    whole = bytearray(small_file(tmp_path / "whole.nc", n_frames=0))
    rng = np.random.default_rng(2)
    for _ in range(1000):
        damaged = whole.copy()
        for at in rng.integers(4, len(whole), size=rng.integers(1, 12)):
            damaged[at] = rng.choice([0, 1, 2, 127, 128, 255])
        try:
            netcdf.parse(bytes(damaged))
        except ValueError as error:
            assert str(error)


HUGE = {f"x{i}": Variable(">f8", ("f", "a")) for i in range(512)}


@pytest.mark.parametrize(
    ("dims", "variables", "reason"),
    [
        ({"a": 10**6 + 1}, {}, "a dimension is 1000001, the limit is 1000000"),
        ({"a": 10**6}, {"x": Variable("S1", ("a", "a", "a"))}, "a variable has 10+ bytes"),
        ({"a": 3}, {"x": Variable("S1", ("a",) * 9)}, "a variable has 9 dimensions"),
        ({"f": 0, "a": 2**19}, HUGE, "a frame has 2147483648 bytes"),
        ({"f": 0, "g": 0}, {}, "two record dimensions"),
        ({"f": 0, "a": 3}, {"x": Variable("S1", ("a", "f"))}, "record dimension behind"),
    ],
)
def test_a_small_header_that_asks_for_much_is_refused(monkeypatch, dims, variables, reason) -> None:
    with monkeypatch.context() as careless:  # the writer has the same limits
        careless.setattr(netcdf, "_size", lambda variable, dims: 2**22)
        data = netcdf.encode(dims, {}, variables)
    with pytest.raises(ValueError, match=reason):
        netcdf.parse(data)


def test_a_pipe_or_a_missing_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="not a regular file"):
        netcdf.read(tmp_path / "pipe")
    with pytest.raises(InputError, match="No such file"):
        netcdf.read(tmp_path / "nothing")
