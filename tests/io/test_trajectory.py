"""Trajectories: right for four other readers, whole after every fault, the same bytes always."""

import os
import re
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import scipy.io
from run_files import Frame, write_by_library

from qmd import units
from qmd.errors import CorruptError, InputError, NumericalError, OutputError
from qmd.integrators import Batch, State
from qmd.io import netcdf, trajectory
from qmd.io.blocks import BlockDigests
from qmd.io.pdb import write_pdb
from qmd.io.snapshot import Snapshot
from qmd.io.trajectory import TrajectoryWriter
from qmd.system.topology import bonds

NUMBERS = np.array([8, 1, 1])
WATER = np.array([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])
DT = 0.5 * units.fs
F4 = 2.0**-24
"""Rounding a number to f4 changes it by at most this, relatively."""

# MDAnalysis, mdtraj and ParmEd load modules that warn of their own deprecations.
readers = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::PendingDeprecationWarning"
)


def frame(i: int, every: int = 10) -> Frame:
    """Frame i of a made-up run, a function of i only."""
    rng = np.random.default_rng(i)
    x, v, f = WATER + 0.1 * rng.normal(size=(3, 3)), *rng.normal(size=(2, 3, 3))
    step = i * every
    return Frame(step, step * DT, x, v, f, float(rng.normal()), float(rng.normal() ** 2))


def create(path: Path) -> TrajectoryWriter:
    return TrajectoryWriter.create(path, NUMBERS, title="water", program_version="0.1.0")


def write(path: Path, n_frames: int) -> trajectory.Synced:
    writer = create(path)
    for i in range(n_frames):
        writer.write(frame(i).snapshot())
    synced = writer.sync()
    writer.close()
    return synced


def python(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a script that may import this module."""
    here = Path(__file__).parent
    command = [sys.executable, "-c", script, *map(str, arguments)]
    paths = here.parents[1], here.parent / "helpers", here
    environment = os.environ | {"PYTHONPATH": ":".join(map(str, paths))}
    return subprocess.run(command, env=environment, capture_output=True, text=True)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder with 20 frames."""
    write_pdb(tmp_path / "topology.pdb", NUMBERS, WATER, bonds(NUMBERS, WATER))
    write(tmp_path / "trajectory.nc", 20)
    return tmp_path


# What other programs read


@readers
def test_mdanalysis_reads_the_frames_in_its_units(run: Path) -> None:
    import MDAnalysis

    universe = MDAnalysis.Universe(str(run / "topology.pdb"), str(run / "trajectory.nc"))
    assert len(universe.trajectory) == 20
    for i, ts in enumerate(universe.trajectory):
        expected = frame(i)
        assert ts.dimensions is None
        assert ts.time == pytest.approx(i * 10 * 0.5e-3, rel=1e-14)
        np.testing.assert_allclose(ts.positions, expected.positions, rtol=F4)
        # 1 internal unit is 98.22695 angstrom/ps, 1 eV is 96.48533 kJ/mol (CODATA 2014).
        np.testing.assert_allclose(ts.velocities, expected.velocities * 98.22695, rtol=1e-6)
        np.testing.assert_allclose(ts.forces, expected.forces * 96.48533, rtol=1e-6)


@readers
def test_mdtraj_reads_the_frames(run: Path) -> None:
    import mdtraj

    read = mdtraj.load(str(run / "trajectory.nc"), top=str(run / "topology.pdb"))
    nanometres = np.array([frame(i).positions / 10 for i in range(20)])
    np.testing.assert_allclose(read.xyz, nanometres, rtol=3 * F4)
    np.testing.assert_allclose(read.time, np.arange(20) * 0.005, rtol=F4, atol=0)
    assert read.unitcell_lengths is None


@readers
def test_frames_beyond_four_gibibytes_are_written_and_read(tmp_path: Path) -> None:
    """A sparse file: what lies between the first frame and the last ones takes no disk."""
    import MDAnalysis
    import mdtraj

    places = np.random.default_rng(7).uniform(0, 20, (1000, 3))
    numbers, path = np.full(1000, 18), tmp_path / "trajectory.nc"
    write_pdb(tmp_path / "topology.pdb", numbers, places, np.empty((0, 2), int))

    def snapshot(i: int) -> Snapshot:
        state = State(
            places + 0.01 * i, places, -places, 1.0 * i, i, np.diag([20.0, 21.0, 22.0 + i])
        )
        return Snapshot(Batch.of([state], [0]), i * DT, np.array([2.0 * i]), np.zeros(1))

    first = TrajectoryWriter.create(path, numbers, "argon", "0.1.0", in_cell=True)
    first.write(snapshot(0))
    first.close()
    header = netcdf.read(path)
    n_frames = header.frames_in(2**32) + 2
    os.truncate(path, header.size(n_frames))
    netcdf.set_frames(path, n_frames)
    # Without the digests of the empty frames, which would take a look at each of them.
    writer = TrajectoryWriter(path, n_frames, blocks=BlockDigests(header.record.itemsize))
    writer.write(snapshot(n_frames))
    synced = writer.sync()
    writer.close()
    assert synced.frames == n_frames + 1 and synced.bytes == path.stat().st_size > 2**32
    universe = MDAnalysis.Universe(str(tmp_path / "topology.pdb"), str(path))
    last = universe.trajectory[-1]
    expected = snapshot(n_frames).batch
    assert len(universe.trajectory) == n_frames + 1
    np.testing.assert_allclose(last.positions, expected.positions[0], rtol=F4)
    np.testing.assert_allclose(last.dimensions, [20, 21, 22 + n_frames, 90, 90, 90], rtol=F4)
    with netCDF4.Dataset(path) as by_library:
        assert by_library["step"][-1] == n_frames and by_library["step"][0] == 0
        np.testing.assert_allclose(
            by_library["forces"][-1] * units.kcal_per_mol, -places, rtol=2 * F4
        )
    with mdtraj.open(str(path)) as other:
        other.seek(n_frames)
        np.testing.assert_allclose(other.read(1)[0][0], expected.positions[0], rtol=F4)
    ours = trajectory.read_frames(path)[-1]
    assert ours["potential_energy"] == n_frames
    np.testing.assert_allclose(ours["coordinates"], expected.positions[0], rtol=F4)


@readers
def test_parmed_reads_the_frames(run: Path) -> None:
    from parmed.amber import NetCDFTraj

    read = NetCDFTraj.open_old(str(run / "trajectory.nc"))
    frames = [frame(i) for i in range(20)]
    np.testing.assert_allclose(read.coordinates, [f.positions for f in frames], rtol=F4)
    np.testing.assert_allclose(
        read.forces, np.array([f.forces for f in frames]) * 23.060549, rtol=1e-6
    )
    np.testing.assert_allclose(read.time, np.arange(20) * 0.005, rtol=1e-14)
    read.close()


def test_netcdf4_and_scipy_read_the_frames_and_energies(run: Path) -> None:
    frames = [frame(i) for i in range(20)]
    with (
        netCDF4.Dataset(run / "trajectory.nc") as library,
        scipy.io.netcdf_file(run / "trajectory.nc", mmap=False) as other,
    ):
        for variables in (library.variables, other.variables):
            np.testing.assert_allclose(
                variables["coordinates"][:], [f.positions for f in frames], rtol=F4
            )
            np.testing.assert_array_equal(
                variables["potential_energy"][:], [f.potential_energy for f in frames]
            )
            np.testing.assert_array_equal(
                variables["kinetic_energy"][:], [f.kinetic_energy for f in frames]
            )
            np.testing.assert_array_equal(variables["Z"][:], NUMBERS)


def test_the_file_is_byte_for_byte_the_netcdf_library_s(tmp_path: Path) -> None:
    write(tmp_path / "ours.nc", 20)
    frames = [frame(i) for i in range(20)]
    columns = {
        "time": [f.time / units.ps for f in frames],
        "step": [f.step for f in frames],
        "potential_energy": [f.potential_energy for f in frames],
        "kinetic_energy": [f.kinetic_energy for f in frames],
        "coordinates": [f.positions for f in frames],
        "velocities": np.array([f.velocities for f in frames]) / (1 / units.ps),
        "forces": np.array([f.forces for f in frames]) / units.kcal_per_mol,
        "spatial": [b"x", b"y", b"z"],
        "Z": NUMBERS,
    }
    header = netcdf.read(tmp_path / "ours.nc")
    write_by_library(tmp_path / "library.nc", header, columns)
    assert (tmp_path / "ours.nc").read_bytes() == (tmp_path / "library.nc").read_bytes()


@pytest.mark.parametrize("every", [1, 7])
def test_times_never_repeat_and_give_back_the_steps(tmp_path: Path, every: int) -> None:
    # 20 ns from the start f4 times would be 2 fs apart; f8 keeps 0.5 fs to 1e-8 of a step.
    writer = create(tmp_path / "t.nc")
    first = 40_000_000
    for step in range(first, first + 100 * every, every):
        writer.write(frame(0)._replace(step=step, time=step * DT).snapshot())
    writer.close()
    scalars = trajectory.read_scalars(tmp_path / "t.nc")
    assert np.all(np.diff(scalars["time"]) > 0)
    np.testing.assert_array_equal(np.round(scalars["time"] / 0.5e-3), scalars["step"])
    np.testing.assert_array_equal(scalars["step"], np.arange(first, first + 100 * every, every))


# Same frames, same bytes


@pytest.mark.parametrize("block", [1, 3, 1000])
@pytest.mark.parametrize("stops", [[], [25], [1, 2, 3], [0, 10, 10, 24]])
def test_syncs_blocks_and_restarts_do_not_change_a_byte(
    tmp_path: Path, monkeypatch, stops: list[int], block: int
) -> None:
    write(tmp_path / "whole.nc", 25)
    monkeypatch.setattr(trajectory, "_BLOCK_FRAMES", block)
    path = tmp_path / "parts.nc"
    writer, done = create(path), 0
    for stop in [*stops, 25]:
        for i in range(done, stop):
            writer.write(frame(i).snapshot())
        kept = writer.sync()
        assert (kept.frames, kept.bytes) == (stop, path.stat().st_size)
        for i in range(stop, stop + 5):  # lost work: frames behind the checkpoint
            writer.write(frame(100 + i).snapshot())
        writer.close()
        writer, done = TrajectoryWriter.append(path, kept.frames, kept.digest), stop
    writer.close()
    assert path.read_bytes() == (tmp_path / "whole.nc").read_bytes()


KILLED = """
import os, sys
from pathlib import Path
from qmd.io import trajectory
from test_trajectory import create, frame
trajectory._BLOCK_FRAMES = 4
writer = create(Path(sys.argv[1]))
for i in range(21):
    if i == 10:
        writer.sync()
    writer.write(frame(i).snapshot())
os.kill(os.getpid(), 9)
"""


def test_a_killed_writer_leaves_exactly_the_synced_frames(tmp_path: Path) -> None:
    path = tmp_path / "t.nc"
    assert python(KILLED, path).returncode == -9
    header = trajectory.verify(path)
    assert header.n_frames == 10
    assert path.stat().st_size == header.size(18)  # two more blocks, not counted
    scalars = trajectory.read_scalars(path)
    np.testing.assert_array_equal(scalars["step"], np.arange(10) * 10)


def test_frames_are_on_the_disk_before_the_header_counts_them(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "t.nc"
    writer = create(path)
    calls = []
    pwrite, fsync = os.pwrite, os.fsync
    monkeypatch.setattr(os, "pwrite", lambda *a: calls.append(a[2]) or pwrite(*a))
    monkeypatch.setattr(os, "fsync", lambda fd: calls.append("fsync") or fsync(fd))
    writer.write(frame(0).snapshot())
    writer.sync()
    begin = netcdf.read(path).begin
    assert calls == [begin, "fsync", 4, "fsync"]
    writer.sync()  # nothing new: nothing to do
    assert len(calls) == 4
    writer.close()


# Faults


def test_an_existing_file_is_never_overwritten(run: Path) -> None:
    before = (run / "trajectory.nc").read_bytes()
    with pytest.raises(OutputError, match="exists"):
        create(run / "trajectory.nc")
    (run / "link.nc").symlink_to(run / "elsewhere.nc")
    with pytest.raises(OutputError):
        create(run / "link.nc")
    assert (run / "trajectory.nc").read_bytes() == before
    assert not (run / "elsewhere.nc").exists()


# 1e38 is finite as float64 and as f4, but not in kcal/mol.
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300, 1e38])
@pytest.mark.parametrize("field", ["positions", "velocities", "forces"])
def test_a_frame_that_is_not_finite_is_not_written(tmp_path: Path, field: str, bad: float) -> None:
    writer = create(tmp_path / "t.nc")
    writer.write(frame(0).snapshot())
    values = np.array(getattr(frame(1), field))
    values[2, 1] = bad
    with pytest.raises(NumericalError, match="step 10 is not finite"):
        writer.write(frame(1)._replace(**{field: values}).snapshot())
    writer.close()
    assert trajectory.verify(tmp_path / "t.nc").n_frames == 1


@pytest.mark.parametrize("field", ["time", "potential_energy", "kinetic_energy"])
def test_an_energy_that_is_not_finite_is_not_written(tmp_path: Path, field: str) -> None:
    writer = create(tmp_path / "t.nc")
    for bad in (np.nan, np.inf):
        with pytest.raises(NumericalError):
            writer.write(frame(1)._replace(**{field: bad}).snapshot())
    writer.close()
    assert trajectory.verify(tmp_path / "t.nc").n_frames == 0


FULL_DISK = """
import resource, sys
from pathlib import Path
from qmd.errors import OutputError
from test_trajectory import create, frame
path, limit = Path(sys.argv[1]), int(sys.argv[2])
writer = create(path)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
synced = writer.sync()
try:
    for i in range(1000):
        writer.write(frame(i).snapshot())
        if i % 10 == 9:
            synced = writer.sync()
except OutputError as error:
    writer.close()
    assert "quota" in error.hint
    print(synced.frames, synced.digest)
"""


@pytest.mark.parametrize("limit", [2000, 2001, 9999, 20000])
def test_a_full_disk_keeps_the_synced_frames_and_the_run_can_go_on(
    tmp_path: Path, limit: int
) -> None:
    path = tmp_path / "t.nc"
    frames, digest = python(FULL_DISK, path, limit).stdout.split()
    header = trajectory.verify(path)
    assert header.n_frames == int(frames)
    assert path.stat().st_size == header.size(int(frames)) <= limit  # no torn frame behind
    assert header.size(int(frames) + 10) > limit

    writer = TrajectoryWriter.append(path, int(frames), digest)
    for i in range(int(frames), 200):
        writer.write(frame(i).snapshot())
    writer.close()
    write(tmp_path / "whole.nc", 200)
    assert path.read_bytes() == (tmp_path / "whole.nc").read_bytes()


@pytest.mark.parametrize("good_calls", [0, 1])  # before and after the frames are counted
def test_an_fsync_error_is_not_passed_over(tmp_path: Path, monkeypatch, good_calls: int) -> None:
    results = iter([None] * good_calls)

    def fsync(fd: int) -> None:
        try:
            next(results)
        except StopIteration:
            raise OSError(28, "No space left on device") from None

    writer = create(tmp_path / "t.nc")
    before = (tmp_path / "t.nc").read_bytes()
    writer.write(frame(0).snapshot())
    with monkeypatch.context() as full:
        full.setattr(os, "fsync", fsync)
        with pytest.raises(OutputError, match="No space left"):
            writer.sync()
    with pytest.raises(OutputError):  # a frame is lost: no checkpoint may count on this file
        writer.sync()
    writer.close()
    assert (tmp_path / "t.nc").read_bytes() == before


@pytest.mark.parametrize("missing", [1, 60, 1000, "half"])
def test_a_truncated_file_is_refused(run: Path, missing) -> None:
    path = run / "trajectory.nc"
    digest = write(run / "other.nc", 20).digest
    size = path.stat().st_size
    os.truncate(path, size // 2 if missing == "half" else size - missing)
    with pytest.raises(CorruptError, match=r"\d+ of 20 frames present"):
        trajectory.verify(path)
    with pytest.raises(CorruptError, match=r"\d+ of 20 frames present"):
        TrajectoryWriter.append(path, 20, digest)


@pytest.mark.parametrize("n_frames", [0, 19, 21, 2**32 - 1])
def test_a_patched_frame_count_is_refused_on_restart(run: Path, n_frames: int) -> None:
    digest = write(run / "other.nc", 20).digest
    with open(run / "trajectory.nc", "r+b") as file:
        file.seek(4)
        file.write(struct.pack(">I", n_frames))
    with pytest.raises(CorruptError):
        TrajectoryWriter.append(run / "trajectory.nc", 20, digest)


def test_a_missing_or_replaced_file_is_refused_on_restart(run: Path) -> None:
    path = run / "trajectory.nc"
    synced = write(run / "other.nc", 19)
    with pytest.raises(CorruptError, match="20 is not what the checkpoint recorded"):
        TrajectoryWriter.append(path, 20, synced.digest)
    path.unlink()
    with pytest.raises(CorruptError, match="missing"):
        TrajectoryWriter.append(path, 19, synced.digest)


def test_every_flipped_bit_of_header_and_last_frame_is_noticed_on_restart(run: Path) -> None:
    path = run / "trajectory.nc"
    digest = write(run / "other.nc", 20).digest
    whole = path.read_bytes()
    header = netcdf.read(path)
    places = [*range(8 * header.begin), *range(8 * header.size(19), 8 * header.size(20))]
    for bit in np.random.default_rng(3).choice(places, size=500, replace=False).tolist():
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        with open(path, "r+b") as file:  # in place: 20 times faster than a new file
            file.write(damaged)
        with pytest.raises(CorruptError):
            TrajectoryWriter.append(path, 20, digest)
        assert path.read_bytes() == damaged  # and nothing was cut


def test_every_flipped_bit_of_an_earlier_frame_is_noticed_and_named(tmp_path: Path) -> None:
    path = tmp_path / "t.nc"
    synced = write(path, 100)
    whole, header = path.read_bytes(), netcdf.read(path)
    for byte in np.random.default_rng(4).integers(header.begin, header.size(99), 100).tolist():
        damaged = bytearray(whole)
        damaged[byte] ^= 1 << byte % 8
        path.write_bytes(damaged)
        frame = (byte - header.begin) // header.record.itemsize + 1
        with pytest.raises(CorruptError, match="not all of frames") as refused:
            TrajectoryWriter.append(path, 100, synced.digest, blocks=synced.blocks)
        first, last = re.findall(r"frames (\d+) to (\d+) of 100", refused.value.message)[0]
        assert int(first) <= frame <= int(last) < int(first) + 30  # 4096 bytes are 29 frames
        assert path.read_bytes() == damaged


@pytest.mark.parametrize("kind", ["empty", "text", "hdf5", "classic", "foreign"])
def test_files_of_another_kind_are_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "t.nc"
    if kind in ("empty", "text"):
        path.write_bytes(b"" if kind == "empty" else b"CDF\x02 or so, thought the writer" * 9)
    else:
        formats = {"hdf5": "NETCDF4", "classic": "NETCDF3_CLASSIC"}
        file = netCDF4.Dataset(path, "w", format=formats.get(kind, "NETCDF3_64BIT_OFFSET"))
        file.createDimension("frame", None)
        file.createVariable("time", "f8", ("frame",))[:] = np.arange(3)
        file.close()
    with pytest.raises(CorruptError):
        trajectory.verify(path)


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        trajectory.verify(tmp_path / "t.nc")


def test_a_read_only_folder_is_an_output_error(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    tmp_path.chmod(0o555)
    with pytest.raises(OutputError, match="Permission denied"):
        create(tmp_path / "t.nc")
    tmp_path.chmod(0o755)


def test_opening_a_hostile_file_takes_no_memory(tmp_path: Path) -> None:
    # 132 bytes that claim many atoms made netCDF4 allocate 2 GB.
    writer = create(tmp_path / "t.nc")
    writer.close()
    data = bytearray((tmp_path / "t.nc").read_bytes())
    at = data.index(b"atom") + 4
    data[at : at + 4] = struct.pack(">I", 500_000_000)
    (tmp_path / "t.nc").write_bytes(data)
    tracemalloc.start()
    with pytest.raises(CorruptError, match="500000000"):
        trajectory.verify(tmp_path / "t.nc")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * netcdf.MAX_HEADER_BYTES
