"""Checkpoints: exact, the old or the new one after every fault, and damage never goes unnoticed."""

import hashlib
import json
import os
import struct
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from qmd.errors import CorruptError, InputError, NumericalError, OutputError
from qmd.integrators import Batch
from qmd.io import checkpoint, files
from qmd.io.checkpoint import Checkpoint
from qmd.io.files import FAULT_POINTS


def example(step: int = 100) -> Checkpoint:
    rng = np.random.default_rng(step)
    x, v, f = rng.normal(size=(3, 2, 3, 3))
    batch = Batch(
        positions=x,
        velocities=v,
        forces=f,
        energies=np.array([-76.1 + 1 / 3, -2 / 3]),
        cells=rng.normal(size=(2, 3, 3)),
        baths=rng.normal(size=(2, 1)),
        replicas=np.array([3, 2**32 - 1]),
        step=step,
    )
    return Checkpoint(
        batch=batch,
        seed=2**63 + 1,
        replica=3,
        outputs={
            "trajectory": {
                "file": "trajectory.nc",
                "frames": 11,
                "bytes": 4000,
                "digest": "ab" * 32,
                "blocks": "cd" * 8,
            },
            "log": {"file": "log.csv", "bytes": 812, "blocks": "ef" * 8},
        },
        input_sha256="12" * 32,
        config={"steps": 200, "integrator": {"timestep_fs": 0.1, "kind": "verlet"}, "title": None},
        model_sha256="34" * 32,
        versions={"numpy": "2.4.6", "qmd": "0.1.0"},
        bath_variables=["eta"],
        failures=[[17, 5, "the largest force is 51"]],
    )


def assert_equal(a: Checkpoint, b: Checkpoint) -> None:
    """Equal to the last bit."""
    for field in fields(Checkpoint):
        one, other = getattr(a, field.name), getattr(b, field.name)
        if field.name != "batch":
            assert one == other and type(one) is type(other), field.name
    assert a.step == b.step
    arrays = b.batch.as_arrays()
    for name, one in a.batch.as_arrays().items():
        other = arrays[name]
        assert (one.tobytes(), one.shape, one.dtype) == (
            other.tobytes(), other.shape, other.dtype
        )  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "checkpoint"


def names(path: Path) -> set[str]:
    return {entry.name for entry in path.parent.iterdir()}


def test_every_bit_comes_back(path: Path) -> None:
    extremes = np.array([[[5e-324, -0.0, 1.7976931348623157e308]] * 3] * 2)
    extreme = example().batch._replace(positions=extremes, energies=np.array([-0.0, 0.0]))
    for written in (example(), replace(example(), batch=extreme)):
        checkpoint.write(path, written)
        assert_equal(checkpoint.read(path), written)


def test_equal_checkpoints_are_equal_bytes() -> None:
    shuffled = replace(example(), config=dict(reversed(example().config.items())))
    assert checkpoint.encode(example()) == checkpoint.encode(shuffled)


def test_arrays_read_are_writable_and_native(path: Path) -> None:
    checkpoint.write(path, example())
    read = checkpoint.read(path)
    for name, array in read.batch.as_arrays().items():
        assert array.dtype == (np.int64 if name == "replicas" else np.float64)
        assert array.dtype.isnative and array.flags.c_contiguous and array.flags.writeable


def test_the_one_before_is_kept(path: Path) -> None:
    checkpoint.write(path, example(1))
    assert names(path) == {"checkpoint"}
    for step in (2, 3, 4):
        checkpoint.write(path, example(step))
        assert checkpoint.read(path).step == step
        assert checkpoint.read(path.with_name("checkpoint.prev")).step == step - 1
        assert names(path) == {"checkpoint", "checkpoint.prev"}


# Damage


def test_every_flipped_bit_is_noticed_and_the_one_before_is_taken(path: Path) -> None:
    checkpoint.write(path, example(1))
    checkpoint.write(path, example(2))
    whole = path.read_bytes()
    for bit in np.random.default_rng(4).choice(8 * len(whole), size=500, replace=False).tolist():
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        with open(path, "r+b") as file:  # in place: 20 times faster than a new file
            file.write(damaged)
        latest, note = checkpoint.read_latest(path)
        assert latest.step == 1
        assert note is not None and "checkpoint.prev at step 1" in note


def test_a_checkpoint_cut_anywhere_is_refused() -> None:
    whole = checkpoint.encode(example())
    for length in range(len(whole)):
        with pytest.raises(ValueError, match="is empty|is not a|does not match"):
            checkpoint.decode(whole[:length])


N_NUMBERS = 2 * (3 * 9 + 1 + 9 + 1 + 1)
"""Of the arrays of `example`."""


def seal(header: object, values: bytes = bytes(8 * N_NUMBERS)) -> bytes:
    """A checkpoint with any header and a right SHA-256."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    payload = struct.pack("<Q", len(text)) + text + values
    return b"QMDCKPT1" + hashlib.sha256(payload).digest() + payload


def header(**changes: object) -> dict[str, object]:
    data = checkpoint.encode(example())
    length = int.from_bytes(data[40:48], "little")
    return json.loads(data[48 : 48 + length]) | changes


def layout(n: int = 2, **changes: object) -> dict[str, object]:
    """The header of a batch of `n` replicas, with some arrays changed."""
    vectors = dict.fromkeys(("positions", "velocities", "forces"), ["<f8", n, 3, 3])
    others = {"energies": ["<f8", n], "cells": ["<f8", n, 3, 3], "baths": ["<f8", n, 1]}
    arrays = vectors | others | {"replicas": ["<i8", n]}
    assert n != 2 or changes or arrays == header()["arrays"]
    return header(arrays=arrays | changes)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b"CDF\x02" + bytes(100), "not a qmd checkpoint"),
        (b"\x80\x04\x95" + bytes(100), "not a qmd checkpoint"),  # a pickle
        (b"QMDCKPT1", "does not match"),
        (seal(header(schema=5)), "schema version 5, this version of qmd reads 4 only"),
        (seal({"schema": 9}), "schema version 9"),
        (seal({"schema": 1}), "schema version 1, this version of qmd reads 4 only"),
        (seal(header(schema="1")), "no schema"),
        (seal([1, 2]), "no schema"),
        (seal({}), "no schema"),
        (seal(header(step="100")), "wrong ones"),
        (seal(header(step=True)), "wrong ones"),
        (seal(header(extra=1)), "wrong ones"),
        (seal(layout(positions=["<f8", 2, 4, 3])), "do not fit"),
        (seal(layout(positions=["<f8", 2, 3])), "do not fit"),
        (seal(layout(positions=["<f8", 2.0, 3, 3])), "do not fit"),
        (seal(layout(velocities=["<f4", 2, 3, 3])), "do not fit"),
        (seal(layout(replicas=["<f8", 2])), "do not fit"),
        (seal(layout(cells="<f8")), "do not fit"),
        (seal(layout(extra=["<f8", 2])), "do not fit"),
        (seal(layout(n=1)), "do not fit"),
        (seal(layout(n=-1)), "do not fit"),
        (seal(layout(n=10**18)), "do not fit"),
        (seal(header(arrays={})), "do not fit"),
        (seal(header(), bytes(8 * N_NUMBERS - 8)), "do not fit"),
        (seal(header(), struct.pack("<d", np.nan) + bytes(8 * N_NUMBERS - 8)), "not finite"),
        (seal(b"\xff\xfe"), "not JSON"),
        (seal(b"["), "not JSON"),
        (seal(b"[" * 200_000), "not JSON"),
        (b"QMDCKPT1" + bytes(32) + b"\xff" * 8, "does not match"),
    ],
)
def test_other_files_are_refused_with_the_reason(path: Path, data: bytes, reason: str) -> None:
    path.write_bytes(data)
    with pytest.raises(CorruptError, match=reason):
        checkpoint.read(path)


def test_a_file_above_the_limit_is_not_read_into_memory(path: Path, monkeypatch) -> None:
    monkeypatch.setattr(checkpoint, "MAX_BYTES", 2**20)
    path.touch()
    os.truncate(path, 2**40)  # sparse
    with pytest.raises(CorruptError, match="more than 1048576 bytes"):
        checkpoint.read(path)


def test_a_newer_checkpoint_is_not_replaced_by_an_older_one(path: Path) -> None:
    checkpoint.write(path, example(1))
    path.rename(path.with_name("checkpoint.prev"))
    path.write_bytes(seal(header(schema=5)))
    with pytest.raises(CorruptError, match="schema version 5") as refused:
        checkpoint.read_latest(path)
    assert refused.value.hint == "Resume with the newer version."


@pytest.mark.parametrize("schema", [1, 2, 3])
def test_an_older_checkpoint_is_refused_with_advice_and_left_alone(path: Path, schema) -> None:
    # Written by version 0.1: the header had no arrays, which followed in a fixed order.
    checkpoint.write(path.with_name("checkpoint.prev"), example(1))
    path.write_bytes(seal({"schema": schema, "step": 100, "n_atoms": 3}, bytes(8 * 28)))
    before = path.read_bytes()
    with pytest.raises(CorruptError, match=f"schema version {schema}") as refused:
        checkpoint.read_latest(path)
    assert "the version of qmd that began it" in (refused.value.hint or "")
    assert path.read_bytes() == before


def test_the_layout_of_the_test_is_that_of_the_format() -> None:
    assert checkpoint.decode(seal(layout())).batch.energies.tolist() == [0.0, 0.0]


def test_the_one_before_stands_in_for_a_missing_one(path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        checkpoint.read_latest(path)
    checkpoint.write(path.with_name("checkpoint.prev"), example(1))
    latest, note = checkpoint.read_latest(path)
    assert latest.step == 1 and note is not None


def test_two_damaged_checkpoints_are_an_error(path: Path) -> None:
    path.write_bytes(b"x")
    path.with_name("checkpoint.prev").write_bytes(b"y")
    with pytest.raises(CorruptError):
        checkpoint.read_latest(path)


def test_a_good_checkpoint_has_no_note(path: Path) -> None:
    checkpoint.write(path, example())
    assert checkpoint.read_latest(path)[1] is None


@pytest.mark.parametrize("field", ["positions", "velocities", "forces", "energies", "baths"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_state_that_is_not_finite_never_replaces_a_good_one(path: Path, field, bad) -> None:
    checkpoint.write(path, example())
    batch = example(200).batch
    spoilt = batch._replace(**{field: np.full_like(batch.as_arrays()[field], bad)})
    with pytest.raises(NumericalError, match="not finite"):
        checkpoint.write(path, replace(example(200), batch=spoilt))
    assert_equal(checkpoint.read(path), example())
    assert names(path) == {"checkpoint"}


# Faults while writing

WRITE = """
import os, resource, sys
from pathlib import Path
from qmd.io import checkpoint
from qmd.errors import OutputError
from test_checkpoint import example
path, fault, limit, steps = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4:]
for step in steps:
    if step == steps[-1]:
        os.environ["QMD_FAULT"] = fault
        if limit:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        checkpoint.write(path, example(int(step)))
    except OutputError as error:
        print(error, error.hint)
        sys.exit(5)
"""


def write_in_child(
    path: Path, steps: list[int], fault: str = "", limit: int = 0
) -> tuple[int, str]:
    """Write checkpoints in another process, with a fault in the last; its exit code and output."""
    here = Path(__file__).parent
    command = [sys.executable, "-c", WRITE, str(path), fault, str(limit), *map(str, steps)]
    environment = os.environ | {"PYTHONPATH": f"{here.parents[1]}:{here}"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout


@pytest.mark.parametrize("point", FAULT_POINTS)
@pytest.mark.parametrize("steps", [[1], [1, 2], [1, 2, 3]])
def test_a_kill_at_any_point_leaves_the_old_or_the_new_one(
    path: Path, point: str, steps: list[int]
) -> None:
    returncode, _ = write_in_child(path, steps, fault=point)
    assert returncode == 137
    last = steps[-1]
    if point == "after_replace":
        assert checkpoint.read(path).step == last
    elif last > 1:
        assert checkpoint.read(path).step == last - 1
        assert checkpoint.read_latest(path)[1] is None
    else:
        assert not path.exists()

    # The next run goes on, and clears up.
    checkpoint.write(path, example(8))
    checkpoint.write(path, example(9))
    assert checkpoint.read(path).step == 9
    assert checkpoint.read(path.with_name("checkpoint.prev")).step == 8
    assert names(path) == {"checkpoint", "checkpoint.prev"}


@pytest.mark.parametrize("point", FAULT_POINTS)
def test_a_kill_while_recovering_from_damage_keeps_a_good_one(path: Path, point: str) -> None:
    checkpoint.write(path, example(1))
    checkpoint.write(path, example(2))
    path.write_bytes(path.read_bytes()[:-1])
    returncode, _ = write_in_child(path, [3], fault=point)
    assert returncode == 137
    assert checkpoint.read_latest(path)[0].step == (3 if point == "after_replace" else 1)


def test_a_fault_can_be_meant_for_one_file(path: Path) -> None:
    assert write_in_child(path, [1], fault="after_tmp:log.csv")[0] == 0
    assert write_in_child(path, [2], fault="after_tmp:checkpoint")[0] == 137
    assert checkpoint.read(path).step == 1


@pytest.mark.parametrize("limit", [1, 500, len(checkpoint.encode(example(2))) - 1])
def test_a_full_disk_leaves_the_old_checkpoint_and_no_temporary_file(path: Path, limit) -> None:
    returncode, output = write_in_child(path, [1, 2], limit=limit)
    assert returncode == 5
    assert str(path) in output and "quota" in output
    assert checkpoint.read(path).step == 1
    assert names(path) == {"checkpoint"}


@pytest.mark.parametrize("call", ["pwrite", "fsync", "close", "link", "replace"])
def test_no_error_of_the_disk_is_passed_over(path: Path, monkeypatch, call: str) -> None:
    checkpoint.write(path, example(1))
    real = getattr(os, call)

    def fail(*arguments: object) -> None:
        if call == "close":
            real(*arguments)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(os, call, fail)
        with pytest.raises(OutputError, match="No space left") as caught:
            files.replace(path, b"new", keep_previous=True)
    assert caught.value.exit_code == 5
    assert checkpoint.read(path).step == 1
    assert names(path) == {"checkpoint"}


def test_each_name_follows_the_fsync_of_its_content(path: Path, monkeypatch) -> None:
    files.replace(path, b"old", keep_previous=False)
    calls = []
    for name in ("fsync", "link", "replace"):
        real = getattr(os, name)

        def spy(*arguments, name=name, real=real):
            if name == "fsync":
                target = os.readlink(f"/proc/self/fd/{arguments[0]}")
                calls.append((name, Path(target).name))
            else:
                calls.append((name, Path(arguments[1]).name))
            return real(*arguments)

        monkeypatch.setattr(os, name, spy)
    files.replace(path, b"new", keep_previous=True)
    assert calls == [
        ("fsync", "checkpoint.tmp"),
        ("link", "checkpoint.prev.tmp"),
        ("replace", "checkpoint.prev"),
        ("replace", "checkpoint"),
        ("fsync", path.parent.name),
    ]


def test_impossible_targets_are_output_errors(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="Is a directory"):
        files.write_text(tmp_path / "folder", "x")
    with pytest.raises(OutputError, match="No such file"):
        files.write_text(tmp_path / "nowhere" / "file", "x")
    with pytest.raises(OutputError):
        files.fsync_file(tmp_path / "nothing")
    assert names(tmp_path / "file") == {"folder"}


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "run.json.tmp").symlink_to("victim")
    files.write_text(tmp_path / "run.json", "{}")
    assert (tmp_path / "victim").read_text() == "precious"
    assert (tmp_path / "run.json").read_text() == "{}"
    assert not (tmp_path / "run.json").is_symlink()
    files.fsync_file(tmp_path / "run.json")
