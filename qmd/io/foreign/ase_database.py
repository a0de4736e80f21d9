"""Databases of ASE, JSON and SQLite, read as data: bounded, and without ASE's own readers.

Those take memory for the arrays that a file declares, build objects that it names, and open
the file again. Here an array is as large as its data, and a row of SQLite is a row of a table.
"""

import json
import math
import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from ase.calculators.calculator import all_properties

from qmd.errors import InputError, quoted
from qmd.io.faults import is_shallow

MAX_JSON_BYTES = 2**28
"""Largest size of a JSON database; its numbers take some 20 times as much while they are read."""
STEPS, MAX_STEPS_PER_BYTE, EVERY = 100_000, 100, 1000
"""Largest number of steps of SQLite's machine, and more for each byte; counted every so many."""
MAX_DIMENSIONS = 8
_ARRAYS = "masses", "momenta", "tags", "initial_magmoms", "initial_charges"
_INTEGERS = "numbers", "tags"
_VECTORS = "positions", "momenta", "forces"


class Row(NamedTuple):
    """Atoms of a row of a database, and its labels by name."""

    numbers: np.ndarray
    """(n_atoms,), integers."""
    positions: np.ndarray
    """(n_atoms, 3), as in the file."""
    labels: Mapping[str, Any]
    """Numbers and arrays."""
    cell: np.ndarray
    """Lattice vectors in rows, (3, 3), as in the file; zeros along open directions."""
    number: int
    """Its `id` in the database."""
    notes: Mapping[str, Any]
    """Its key-value pairs and data, which may state a charge."""
    is_constrained: bool
    """True if it has constraints, such as fixed atoms."""


def read_json(content: bytes, name: str) -> list[Row]:
    """Read the rows of a JSON database, in its order.

    Raises
    ------
    InputError
        If it is damaged or too large; the message names the row.
    """
    if len(content) > MAX_JSON_BYTES:
        raise InputError(f"{name} has {len(content)} bytes; at most {MAX_JSON_BYTES} as JSON")
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        raise InputError(f"{name} is not a usable ASE database: it is no JSON") from None
    if not isinstance(found, dict) or not is_shallow(found):
        raise InputError(f"{name} is not a usable ASE database: it is no object of rows")
    ids = _decoded(found.get("ids", [1]), f"{name}: ids")
    ids = ids.tolist() if isinstance(ids, np.ndarray) else ids
    if not isinstance(ids, list) or len(ids) > len(found):
        raise InputError(f"{name} is not a usable ASE database: it has no list of ids")
    return [_row(found.get(number), number, f"{name}: row {number}") for number in map(_short, ids)]


def _short(number: Any) -> str:
    return str(number)[:20]


def _row(found: Any, number: str, place: str) -> Row:
    if not isinstance(found, dict) or not {"numbers", "positions"} <= found.keys():
        raise InputError(f"{place} is missing, or has no numbers and positions")
    found = found | {"id": int(number) if number.isdecimal() else 0}
    values = {key: _decoded(value, f"{place}, {quoted(key)}") for key, value in found.items()}
    return _of_values(values, place)


def _of_values(values: Mapping[str, Any], place: str) -> Row:
    """Return a row of decoded values; what cannot be numbers is no label."""
    numbers, positions = _array(values["numbers"], place), _array(values["positions"], place)
    if numbers.dtype.kind not in "iu" or numbers.ndim != 1 or positions.dtype.kind not in "fiu":
        raise InputError(f"{place}: expected whole numbers and positions")
    if positions.shape != (len(numbers), 3):
        raise InputError(
            f"{place} has {len(numbers)} atoms, but positions of shape {positions.shape}"
        )
    pairs, data = values.get("key_value_pairs"), values.get("data")
    known = {**pairs, **values} if isinstance(pairs, dict) else dict(values)
    labels = {key: known[key] for key in (*_ARRAYS, *all_properties) if known.get(key) is not None}
    data = data if isinstance(data, dict) else {}
    notes = data | pairs if isinstance(pairs, dict) else data
    number, constraints = values.get("id"), values.get("constraints")
    return Row(
        numbers, positions, labels | data, _cell(values, place),
        number if isinstance(number, int) else 0, notes,
        constraints is not None and not (isinstance(constraints, list) and not constraints),
    )  # fmt: skip


def _cell(values: Mapping[str, Any], place: str) -> np.ndarray:
    """Return the lattice vectors of the periodic directions; SQLite has these as three bits."""
    cell, pbc = values.get("cell"), values.get("pbc", False)
    if isinstance(cell, dict):
        cell = cell.get("array")
    if isinstance(pbc, int) and not isinstance(pbc, bool):
        pbc = [bool(pbc & bit) for bit in (1, 2, 4)]
    vectors = np.zeros(9) if cell is None else _array(cell, place)
    along = _array(pbc, place)
    if vectors.size != 9 or along.size not in (1, 3) or vectors.dtype.kind not in "fiu":
        raise InputError(f"{place}: expected a cell of nine numbers and pbc of three")
    kept = np.broadcast_to(along.astype(bool).reshape(-1), 3)
    return np.where(kept[:, None], vectors.reshape(3, 3), 0.0)


def _array(value: Any, place: str) -> np.ndarray:
    try:
        return np.asarray(value)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{place} has rows of several lengths") from None


def _decoded(value: Any, place: str, stored: bytes | None = None) -> Any:
    """Return a JSON value with its arrays; these are as large as their data.

    Parameters
    ----------
    value : any
    place : str
        For messages.
    stored : bytes, optional
        Bytes that hold the arrays; else they are lists in the JSON.
    """
    if isinstance(value, list):
        return [_decoded(part, place, stored) for part in value]
    if not isinstance(value, dict):
        return value
    if "__ndarray__" in value:
        return _declared(value["__ndarray__"], place, stored)
    return {key: _decoded(part, place, stored) for key, part in value.items()}


_TYPES = {
    np.dtype(kind).name: np.dtype(kind)
    for kind in ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8", "c8", "c16")
}


def _declared(declared: Any, place: str, stored: bytes | None) -> np.ndarray:
    """Return an array of ``[shape, type, data]``, or of ``[shape, type, offset]`` in `stored`."""
    try:
        shape, kind, data = declared
        dtype, size = _TYPES[kind], math.prod(shape)
        whole = all(type(n) is int and 0 <= n for n in shape) and len(shape) <= MAX_DIMENSIONS
        if stored is None:
            if dtype.kind == "c":
                data = np.array(data, float).view(complex)
            fits = whole and len(data) == size
        else:
            end = data + size * dtype.itemsize
            fits = whole and type(data) is int and 0 <= data and end <= len(stored)
        if fits and stored is None:
            return np.array(data, dtype).reshape(shape)
        if fits and stored is not None:
            return np.frombuffer(stored[data:end], dtype.newbyteorder("<")).reshape(shape)
    except (KeyError, TypeError, ValueError, OverflowError):
        pass
    raise InputError(f"{place}: an array declares a shape or a type that its data does not have")


def read_sqlite(content: bytes, name: str) -> list[Row]:
    """Read the rows of an SQLite database, in the order of their numbers.

    The database is opened in memory, and only its table `systems` is read: no view, trigger or
    computed column of the file runs. Rows together are at most as large as the file.

    Raises
    ------
    InputError
        If it is damaged, or not what ASE writes.
    """
    steps = iter(range((STEPS + MAX_STEPS_PER_BYTE * len(content)) // EVERY))
    connection = sqlite3.connect(":memory:")
    try:
        connection.deserialize(content)
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, len(content))
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        connection.set_progress_handler(lambda: next(steps, None) is None, EVERY)
        columns = connection.execute("PRAGMA table_xinfo(systems)").fetchall()
        if any(hidden for *_, hidden in columns):
            raise InputError(f"{name} is not a usable ASE database: it has computed columns")
        connection.set_authorizer(_allowed)
        return list(_rows(connection, len(content), name))
    except (sqlite3.Error, sqlite3.Warning, MemoryError, OverflowError, ValueError) as error:
        reason = type(error).__name__
        raise InputError(f"{name} is not a usable ASE database ({reason})") from None
    finally:
        connection.close()


def _allowed(action: int, first: str | None, *_: Any) -> int:
    reads = action == sqlite3.SQLITE_READ and first in ("systems", "sqlite_master")
    fits = reads or action == sqlite3.SQLITE_SELECT
    return sqlite3.SQLITE_OK if fits else sqlite3.SQLITE_DENY


def _rows(connection: sqlite3.Connection, size: int, name: str) -> Iterator[Row]:
    kind = connection.execute("SELECT type FROM sqlite_master WHERE name = 'systems'").fetchall()
    if kind != [("table",)]:
        raise InputError(f"{name} is not a usable ASE database: it has no table systems")
    rows = connection.execute("SELECT * FROM systems")
    columns = [str(column[0]) for column in rows.description]
    for number, row in enumerate(rows, 1):
        size -= sum(len(value) for value in row if isinstance(value, (bytes, str)))
        if size < 0:
            raise InputError(f"{name} is damaged: its rows are larger than the file")
        yield _of_columns(dict(zip(columns, row, strict=True)), f"{name}: row {number}")


def _of_columns(row: dict[str, Any], place: str) -> Row:
    values = {}
    for key, value in row.items():
        if value is None:
            continue
        if key == "data":
            values[key] = _data(value, place)
        elif key in ("key_value_pairs", "constraints"):
            values[key] = _text(value, place)
        elif isinstance(value, bytes):
            kind = "<i4" if key in _INTEGERS else "<f8"
            if len(value) % np.dtype(kind).itemsize:
                raise InputError(f"{place}, {quoted(key)}: {len(value)} bytes are no numbers")
            array = np.frombuffer(value, kind)
            if key in _VECTORS:
                if len(array) % 3:
                    raise InputError(f"{place}, {quoted(key)}: {len(array)} are no vectors")
                array = array.reshape(-1, 3)
            values[key] = array
        elif isinstance(value, (int, float)):
            values[key] = value
    if not {"numbers", "positions"} <= values.keys():
        raise InputError(f"{place} has no numbers and positions")
    return _of_values(values, place)


def _data(value: Any, place: str) -> Any:
    """Return the data of a row: JSON, or bytes that hold arrays, then JSON."""
    if not isinstance(value, bytes):
        return _text(value, place)
    offset = int.from_bytes(value[:8], "little")
    return _text(value[offset:].decode(errors="replace"), place, value)


def _text(value: Any, place: str, stored: bytes | None = None) -> Any:
    try:
        found = json.loads(value) if isinstance(value, str) else None
    except (ValueError, RecursionError):
        raise InputError(f"{place} has data that is no JSON") from None
    if isinstance(found, (list, dict)) and not is_shallow([found]):
        raise InputError(f"{place} has data that is nested too deeply")
    return _decoded(found, place, stored)
