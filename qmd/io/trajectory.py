"""Trajectories in the AMBER NetCDF convention 1.0, NetCDF 64-bit-offset files.

MDAnalysis, mdtraj, ParmEd, cpptraj and VMD read them. Positions are unwrapped: an atom that leaves
the cell is not moved back into it. No `scale_factor`, which MDAnalysis refuses on variables that it
does not know.

=================  ====  ==========================  =======================================
variable           type  unit in the file            internal unit
=================  ====  ==========================  =======================================
time               f8    picosecond                  angstrom sqrt(u/eV); f4 would repeat
                                                     times from 8 ns on
coordinates        f4    angstrom                    angstrom
velocities         f4    angstrom/picosecond         sqrt(eV/u)
forces             f4    kilocalorie/mole/angstrom   eV/angstrom
potential_energy   f8    eV                          eV
kinetic_energy     f8    eV                          eV
step               f8    1                           exact to 2**53; the format has no int64
replica            f8    1                           only where replicas share the file
cell_lengths       f8    angstrom                    only of periodic systems; 0 along a
                                                     direction that is not periodic
cell_angles        f8    degree                      likewise; alpha, beta, gamma
=================  ====  ==========================  =======================================

The frames are written without the NetCDF library: a record has a fixed size, so appending is one
``write``. A full disk then shows where it happens, the order of writes and fsyncs is ours, and
`qmd run` saves the 0.3 s import. A test holds the file to the library's bytes.

References
----------
.. [1] AMBER NetCDF Trajectory/Restart Convention, version 1.0, revision C.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from qmd import units
from qmd.errors import CorruptError, NumericalError, OutputError
from qmd.integrators import Batch
from qmd.io import netcdf
from qmd.io.blocks import RESTORE, BlockDigests, frames_in
from qmd.io.files import fsync_directory, output_errors, write_all
from qmd.io.netcdf import Header, Variable
from qmd.io.snapshot import Snapshot
from qmd.system.cell import lattice_vectors, lengths_and_angles, turned
from qmd.typing import Array

_FRAME = ("frame",)
_FRAME_ATOM = ("frame", "atom", "spatial")
_SCALARS = {
    "time": Variable(">f8", _FRAME, {"units": "picosecond"}),
    "step": Variable(">f8", _FRAME, {"units": "1"}),
    "potential_energy": Variable(">f8", _FRAME, {"units": "eV"}),
    "kinetic_energy": Variable(">f8", _FRAME, {"units": "eV"}),
}
_REPLICA = {"replica": Variable(">f8", _FRAME, {"units": "1"})}
_VECTORS = {
    "coordinates": Variable(">f4", _FRAME_ATOM, {"units": "angstrom"}),
    "velocities": Variable(">f4", _FRAME_ATOM, {"units": "angstrom/picosecond"}),
    # Not the `amu*angstrom/picosecond^2` of the published text, an error by its author's word.
    "forces": Variable(">f4", _FRAME_ATOM, {"units": "kilocalorie/mole/angstrom"}),
}
_FIXED = {
    "spatial": Variable("S1", ("spatial",)),
    "Z": Variable(">i4", ("atom",), {"long_name": "atomic number"}),
}
_LABELS = {
    "cell_spatial": Variable("S1", ("cell_spatial",)),
    "cell_angular": Variable("S1", ("cell_angular", "label")),
}
_CELL = {
    "cell_lengths": Variable(">f8", ("frame", "cell_spatial"), {"units": "angstrom"}),
    "cell_angles": Variable(">f8", ("frame", "cell_angular"), {"units": "degree"}),
}
# The unit of each variable in internal units, where it is not 1.
_UNITS = {"time": units.ps, "velocities": 1 / units.ps, "forces": units.kcal_per_mol}
_LIMIT = 1e36
"""Vectors up to here (internal units) are still finite as f4 in the units of the file."""
_BLOCK_FRAMES = 1000
_BLOCK_BYTES = 2**23


class Synced(NamedTuple):
    """State of the file on the disk, for the checkpoint.

    Attributes
    ----------
    file : str
        Name of the file.
    frames, bytes : int
        Number of frames, and size.
    digest : str
        SHA-256 of the header and the last frame.
    blocks : str
        Digests of all frames, see `qmd.io.blocks`.
    """

    file: str
    frames: int
    bytes: int
    digest: str
    blocks: str


class TrajectoryWriter:
    """Writes frames in blocks; made by `create` or `append`.

    Frames become visible to readers, and survive a crash, with `sync`. The bytes of the file are
    a function of the frames, not of blocks, syncs and restarts.
    """

    def __init__(
        self,
        path: Path,
        n_frames: int,
        block: int | None = None,
        blocks: BlockDigests | None = None,
    ) -> None:
        self._path, self._header = path, verify(path)
        self._columns = _columns(self._header)
        self._n_columns = max(column.stop for column in self._columns.values())
        record = self._header.record
        self._start, self._last = _start_and_last(path, self._header, n_frames)
        self._blocks = blocks_of(path, self._header, n_frames) if blocks is None else blocks
        self._published = self._written = n_frames
        self._buffered = 0
        block = max(1, min(block or _BLOCK_FRAMES, _BLOCK_BYTES // record.itemsize))
        # Plain float64, converted block by block: 5 us a frame; one by one took 55.
        self._scalars = np.zeros((block, self._n_columns))
        self._vectors = np.zeros((block, len(_VECTORS), self._header.dims["atom"], 3))
        with output_errors(path):
            self._fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW)

    @classmethod
    def create(
        cls,
        path: Path,
        numbers: npt.NDArray[np.integer],
        title: str,
        program_version: str,
        *,
        of_replicas: bool = False,
        in_cell: bool = False,
        block: int | None = None,
    ) -> Self:
        """Start a new file.

        Parameters
        ----------
        path : Path
            Must not exist.
        numbers : int array, shape (n_atoms,)
            Atomic numbers.
        title, program_version : str
            Go into the global attributes.
        of_replicas : bool
            Whether replicas share the file: each frame then says of which one it is.
        in_cell : bool
            Whether the system is periodic: each frame then has its cell.
        block : int, optional
            Frames to keep in memory at most.

        Raises
        ------
        OutputError
            If `path` exists or cannot be written.
        """
        with output_errors(path):
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
            try:
                start = _encode_start(numbers, title, program_version, of_replicas, in_cell)
                write_all(fd, start, 0)
                os.fsync(fd)
            finally:
                os.close(fd)
            fsync_directory(path.parent)
        return cls(path, 0, block)

    @classmethod
    def append(
        cls,
        path: Path,
        n_frames: int,
        last_frame_digest: str,
        *,
        blocks: str | None = None,
        block: int | None = None,
    ) -> Self:
        """Go on behind frame `n_frames` of a file, and drop those that follow it.

        Parameters
        ----------
        path : Path
            A file written by this class.
        n_frames, last_frame_digest : int, str
            `frames` and `digest` of the `Synced` that the checkpoint holds.
        blocks : str, optional
            Its `blocks`; without them only the header and the last frame are checked.
        block : int, optional
            As in `create`.

        Raises
        ------
        CorruptError
            If the file is missing, damaged, too short, or not the one that was recorded.
        OutputError
            If it cannot be written.
        """
        if not path.exists():
            raise CorruptError(f"{path} is missing, the checkpoint counts {n_frames} frames in it.")
        found = check(path, n_frames, last_frame_digest, blocks)
        netcdf.set_frames(path, n_frames)
        return cls(path, n_frames, block, found)

    def write(self, snapshot: Snapshot) -> None:
        """Take a frame of each replica, converted to the units of the file.

        Raises
        ------
        NumericalError
            If a value is not finite, or not as f4; none of the frames is then in the file.
        OutputError
            If a block of frames cannot be written; the file then ends with the last `sync`.
        """
        n, free = len(snapshot.kinetic_energies), slice(self._buffered, None)
        if n != 1 and "replica" not in self._columns:
            raise ValueError(f"{self._path} is of one trajectory, not of {n} replicas.")
        scalars, vectors = self._scalars[free], self._vectors[free]
        fits = n <= len(scalars)
        if not fits:
            scalars = np.empty((n, self._n_columns))
            vectors = np.empty((n, *self._vectors.shape[1:]))
        scalars, vectors = scalars[:n], vectors[:n]
        _fill(scalars, vectors, snapshot, self._columns)
        if not (np.abs(vectors).max(initial=0) <= _LIMIT and np.isfinite(scalars).all()):
            raise _not_finite(snapshot.step)
        if fits:
            self._buffered += n
            self._flush_full()
            return
        done = 0
        while done < n:
            end = min(self._buffered + n - done, len(self._vectors))
            taken = slice(done, done + end - self._buffered)
            self._scalars[self._buffered : end] = scalars[taken]
            self._vectors[self._buffered : end] = vectors[taken]
            self._buffered, done = end, taken.stop
            self._flush_full()

    def _flush_full(self) -> None:
        if self._buffered == len(self._vectors):
            with self._writing():
                self._flush()

    def sync(self) -> Synced:
        """Bring all frames so far to the disk, and only then count them in the header.

        Raises
        ------
        OutputError
            As `write`; also after an earlier one, since frames are lost then.
        """
        if self._fd < 0:
            raise OutputError(f"{self._path} is closed, by an earlier error or by `close`.")
        if self._buffered or self._published < self._written:
            with self._writing():
                self._flush()
                os.fsync(self._fd)
                netcdf.write_n_frames(self._fd, self._written)
                os.fsync(self._fd)
                self._published = self._written
        size = self._header.size(self._published)
        digest = _digest(self._start, self._last)
        return Synced(self._path.name, self._published, size, digest, self._blocks.text())

    def close(self) -> None:
        """Sync and close; does nothing after an `OutputError`, or when called again."""
        if self._fd < 0:
            return
        self.sync()
        with output_errors(self._path):
            fd, self._fd = self._fd, -1
            os.close(fd)

    def _flush(self) -> None:
        n, self._buffered = self._buffered, 0
        if not n:
            return
        records: npt.NDArray[np.void] = np.zeros(n, self._header.record)
        for name, column in self._columns.items():
            values = self._scalars[:n, column] / _UNITS.get(name, 1)
            records[name] = values.reshape(records[name].shape)
        for k, name in enumerate(_VECTORS):
            records[name] = self._vectors[:n, k] / _UNITS.get(name, 1)
        data = records.tobytes()
        write_all(self._fd, data, self._header.size(self._written))
        self._blocks.update(data)
        self._written += n
        self._last = data[-self._header.record.itemsize :]

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """After an error, leave the file as the last `sync` did, and close it."""
        with output_errors(self._path):
            try:
                yield
            except OSError:
                with suppress(OSError):
                    netcdf.write_n_frames(self._fd, self._published)
                    os.ftruncate(self._fd, self._header.size(self._published))
                    os.close(self._fd)
                self._fd = -1
                raise


def verify(path: Path) -> Header:
    """Header of a complete trajectory of this program.

    Raises
    ------
    InputError
        If `path` is missing or unreadable.
    CorruptError
        If it is damaged, truncated ("n of m frames present"), or of another kind.
    """
    header = netcdf.check(path)
    variables = {name: v._replace(begin=0) for name, v in header.variables.items()}
    atoms = header.dims.get("atom", 0)
    convention = (header.attributes.get("Conventions"), header.attributes.get("ConventionVersion"))
    in_cell = "cell_lengths" in variables
    expected = _variables("replica" in variables, in_cell), _dims(atoms, in_cell), ("AMBER", "1.0")
    if (variables, dict(header.dims), convention) != expected:
        raise CorruptError(f"{path} is not a trajectory of this version of qmd, or is damaged.")
    return header


def blocks_of(path: Path, header: Header, n_frames: int) -> BlockDigests:
    """Digests of the first frames of a file."""
    return BlockDigests.of_file(path, header.record.itemsize, header.begin, header.size(n_frames))


def check(
    path: Path, n_frames: int, last_frame_digest: str, blocks: str | None = None
) -> BlockDigests:
    """Compare a file with what a checkpoint recorded of it; frames may follow those.

    Parameters
    ----------
    path : Path
    n_frames, last_frame_digest, blocks : int, str, str
        As in `TrajectoryWriter.append`.

    Returns
    -------
    BlockDigests
        Those of the first `n_frames` frames.

    Raises
    ------
    InputError, CorruptError
        As `verify`; also if frames are missing or differ: the message names them.
    """
    header = verify(path)
    if not n_frames <= header.n_frames:
        raise CorruptError(f"{path} is truncated: {header.n_frames} of {n_frames} frames present.")
    found = blocks_of(path, header, n_frames)
    if _digest(*_start_and_last(path, header, n_frames)) != last_frame_digest:
        raise CorruptError(
            f"{path} is damaged or replaced: its header or frame {n_frames} is not what the "
            "checkpoint recorded.",
            "Restore the file that belongs to the checkpoint.",
        )
    if blocks is not None and (parts := found.differing(blocks)):
        named = frames_in(parts, header.record.itemsize, n_frames)
        raise CorruptError(f"{path} is damaged: not all of {named} are what was written.", RESTORE)
    return found


def read_scalars(path: Path) -> dict[str, Array]:
    """The numbers of each frame, shape (n_frames,), in the units of the file.

    Returns
    -------
    dict of str to float array
        `time` (ps), `step`, `potential_energy` and `kinetic_energy` (eV); `replica`, if
        replicas share the file.

    Raises
    ------
    InputError, CorruptError
        As `verify`.
    """
    header, frames = verify(path), read_frames(path)
    names = [name for name in (*_SCALARS, *_REPLICA) if name in header.variables]
    return {name: frames[name].astype(np.float64) for name in names}


def read_cells(path: Path) -> Array | None:
    """The lattice vectors of each frame, shape (n_frames, 3, 3), angstrom; None if isolated.

    Raises
    ------
    InputError, CorruptError
        As `verify`.
    """
    if "cell_lengths" not in verify(path).variables:
        return None
    frames = read_frames(path)
    lengths, angles = (frames[name].astype(np.float64) for name in _CELL)
    return lattice_vectors(lengths, angles)


def read_frames(path: Path) -> npt.NDArray[np.void]:
    """The frames as the file holds them: one record each, mapped, not read.

    Raises
    ------
    InputError, CorruptError
        As `verify`.
    """
    header = verify(path)
    if not header.n_frames:  # mmap refuses an empty range
        return np.empty(0, header.record)
    return np.memmap(path, header.record, "r", header.begin, (header.n_frames,))


def read_numbers(path: Path) -> npt.NDArray[np.int64]:
    """The atomic number of each atom.

    Raises
    ------
    InputError, CorruptError
        As `verify`.
    """
    header = verify(path)
    begin, n_atoms = header.variables["Z"].begin, header.dims["atom"]
    return np.fromfile(path, ">i4", n_atoms, offset=begin).astype(np.int64)


def _dims(n_atoms: int, in_cell: bool) -> dict[str, int]:
    sides = {"cell_spatial": 3, "cell_angular": 3, "label": 5} if in_cell else {}
    return {"frame": 0, "spatial": 3, "atom": n_atoms, **sides}


def _variables(of_replicas: bool, in_cell: bool) -> dict[str, Variable]:
    """Variables of a file, in their order."""
    fixed = _FIXED | (_LABELS if in_cell else {})
    of_frames = _SCALARS | (_REPLICA if of_replicas else {}) | (_CELL if in_cell else {})
    return fixed | of_frames | _VECTORS


def _columns(header: Header) -> dict[str, slice]:
    """Places of the variables of a frame, less its vectors, in a row of numbers."""
    columns, end = {}, 0
    for name in (*_SCALARS, *_REPLICA, *_CELL):
        if name in header.variables:
            size = 3 if name in _CELL else 1
            columns[name], end = slice(end, end + size), end + size
    return columns


def _fill(scalars: Array, vectors: Array, snapshot: Snapshot, columns: Mapping[str, slice]) -> None:
    """Put the frames of `snapshot` into rows of `columns`, and in the order of `_VECTORS`."""
    batch = snapshot.batch
    scalars[:, 0], scalars[:, 1] = snapshot.time, batch.step
    scalars[:, 2], scalars[:, 3] = batch.energies, snapshot.kinetic_energies
    if "replica" in columns:
        scalars[:, 4] = batch.replicas
    if "cell_lengths" in columns:
        batch = _in_standard_orientation(batch)
        lengths, angles = lengths_and_angles(batch.cells)
        scalars[:, columns["cell_lengths"]], scalars[:, columns["cell_angles"]] = lengths, angles
    vectors[:, 0], vectors[:, 1], vectors[:, 2] = batch.positions, batch.velocities, batch.forces


def _in_standard_orientation(batch: Batch) -> Batch:
    """Turn systems whose cells have been strained: readers make cells from lengths and angles."""
    if not np.triu(batch.cells, 1).any():
        return batch
    vectors = zip(batch.cells, batch.positions, batch.velocities, batch.forces, strict=True)
    standard = [turned(*one) for one in vectors]
    cells, x, v, f = (np.stack(part) for part in zip(*standard, strict=True))
    return batch._replace(cells=cells, positions=x, velocities=v, forces=f)


def _not_finite(step: int) -> NumericalError:
    return NumericalError(
        f"The frame at step {step} is not finite and was not written.",
        "Try a smaller `timestep_fs`, or check the potential.",
    )


def _encode_start(
    numbers: npt.NDArray[np.integer],
    title: str,
    program_version: str,
    of_replicas: bool,
    in_cell: bool,
) -> bytes:
    """The file up to the first frame."""
    attributes = {
        "title": title,
        "program": "qmd",
        "programVersion": program_version,
        "Conventions": "AMBER",
        "ConventionVersion": "1.0",
    }
    variables = _variables(of_replicas, in_cell)
    header = netcdf.encode(_dims(len(numbers), in_cell), attributes, variables)
    labels = b"abc\0" + b"alphabeta gamma\0" if in_cell else b""
    return header + b"xyz\0" + numbers.astype(">i4").tobytes() + labels


def _start_and_last(path: Path, header: Header, n_frames: int) -> tuple[bytes, bytes]:
    """Read the bytes before the first frame, and those of frame `n_frames` (none if that is 0)."""
    with open(path, "rb") as file:
        start = file.read(header.begin)
        if not n_frames:
            return start, b""
        file.seek(header.size(n_frames - 1))
        return start, file.read(header.record.itemsize)


def _digest(start: bytes, last: bytes) -> str:
    """SHA-256 of the header, without its count of frames, and of the last frame."""
    return hashlib.sha256(start[:4] + start[8:] + last).hexdigest()
