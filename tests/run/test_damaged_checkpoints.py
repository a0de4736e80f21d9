"""Checkpoints whose hash fits but whose contents do not: one line, and no output changes."""

import hashlib
import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

import mutations
import pytest

from qmd.errors import CorruptError, MismatchError, NumericalError
from qmd.run import session
from qmd.run.config import load_config

DOCUMENT = {
    "system": {"structure": "h2o", "temperature_K": 300},
    "potential": "sivqlm-h2o",
    "integrator": {"kind": "langevin_baoab", "timestep_fs": 0.5, "temperature_K": 300,
                   "friction_per_ps": 1.0},
    "steps": 10,
    "output": {"trajectory_every": 1, "log_every": 1, "checkpoint_every": 10},
}  # fmt: skip


@pytest.fixture(autouse=True)
def fast_disk(monkeypatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda fd: None)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A run that ended at step 10, and whose input now asks for 12."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    folder.mkdir()
    path = folder / "input.yaml"
    path.write_text(json.dumps(DOCUMENT))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda fd: None)
        session.run(load_config(path))
    (folder / "output" / "checkpoint.prev").unlink()
    path.write_text(json.dumps(DOCUMENT | {"steps": 12}))
    return folder


@pytest.fixture
def run(whole, tmp_path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "run"))


def resume(folder: Path) -> None:
    session.run(load_config(folder / "input.yaml"))


def parts(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Header and arrays of a checkpoint."""
    end = 48 + int.from_bytes(data[40:48], "little")
    return json.loads(data[48:end]), data[end:]


def sealed(header: Any, arrays: bytes) -> bytes:
    """A checkpoint of these contents, with their SHA-256."""
    text = json.dumps(header).encode()
    payload = len(text).to_bytes(8, "little") + text + arrays
    return b"QMDCKPT1" + hashlib.sha256(payload).digest() + payload


def without(header: dict[str, Any], *path: str) -> dict[str, Any]:
    del_from: Any = header
    for key in path[:-1]:
        del_from = del_from[key]
    del del_from[path[-1]]
    return header


def within(header: dict[str, Any], name: str) -> dict[str, Any]:
    """Put the record of an output where that of one of several files would be."""
    return header | {"outputs": header["outputs"] | {name: {"a": header["outputs"][name]}}}


def nested(depth: int) -> list[Any]:
    inner: list[Any] = []
    for _ in range(depth):
        inner = [inner]
    return inner


NAN = b"\x00" * 6 + b"\xf8\x7f"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h, a: (h | {"step": 11}, a), "at step 11 of 10"),
        (lambda h, a: (h | {"step": -1}, a), "'step'"),
        (lambda h, a: (h | {"step": 10**30}, a), "'step'"),
        (lambda h, a: (h | {"step": True}, a), "'step'"),
        (lambda h, a: (h | {"seed": 5}, a), "seed is not that of the input"),
        (lambda h, a: (h | {"versions": {"numpy": 2}}, a), "'versions.numpy'"),
        (lambda h, a: (h | {"failures": [[1, 0]]}, a), "'failures.0'"),
        (lambda h, a: (h | {"failures": [[1, 0, "lost"]]}, a), "replicas are not those"),
        (lambda h, a: (h | {"bath_variables": ["eta"]}, a), "bath variables"),
        (lambda h, a: (h | {"outputs": {}}, a), "says nothing of an output"),
        (lambda h, a: (h | {"outputs": {"log": 3}}, a), "'outputs.log'"),
        (lambda h, a: (within(h, "log"), a), "says nothing of log.csv"),
        (lambda h, a: (without(h, "outputs", "log", "blocks"), a), "'outputs.blocks'"),
        (lambda h, a: (without(h, "outputs", "trajectory", "frames"), a), "'outputs'"),
        (lambda h, a: (without(h, "arrays", "forces"), a), "arrays do not fit"),
        (lambda h, a: (without(h, "config", "steps"), a), "at step 10 of None"),
        (lambda h, a: (h | {"config": {"a": nested(900)}}, a), "nested deeper"),
        (lambda h, a: (h, a[:-8]), "arrays do not fit"),
        (lambda h, a: (h, bytes(6) + b"\xf0\x3f" + a[8:]), "its cell is not one that this"),
        (lambda h, a: (h, a[:-8] + b"\xff" * 6 + b"\xef\x7f"), "numbers beyond 1e\\+15"),
        (lambda h, a: (h, NAN + a[8:]), "not finite"),
        (lambda h, a: (h, a[:-80] + (7).to_bytes(8, "little") + a[-72:]), "replicas are not those"),
    ],
)  # fmt: skip
def test_contents_that_do_not_fit_are_one_line(run, change, message):
    path = run / "output" / "checkpoint"
    data = sealed(*change(*parts(path.read_bytes())))
    path.write_bytes(data)
    before = {p.name: p.read_bytes() for p in path.parent.iterdir()}
    with pytest.raises(CorruptError, match=message):
        resume(run)
    assert {p.name: p.read_bytes() for p in path.parent.iterdir()} == before


def test_the_checkpoint_before_one_that_contradicts_the_input_is_taken(run):
    path = run / "output" / "checkpoint"
    whole = path.read_bytes()
    shutil.copytree(run / "output", run.parent / "kept")
    resume(run)
    expected = {p.name: p.read_bytes() for p in path.parent.iterdir() if p.name in FILES}
    header, arrays = parts(path.read_bytes())
    shutil.rmtree(run / "output")
    shutil.copytree(run.parent / "kept", run / "output")
    path.with_name("checkpoint.prev").write_bytes(whole)
    path.write_bytes(sealed(header | {"seed": 5}, arrays))
    said = []
    session.run(load_config(run / "input.yaml"), log=said.append)
    assert "its seed is not that of the input" in said[0]
    assert "checkpoint.prev at step 10" in said[0]
    assert {p.name: p.read_bytes() for p in path.parent.iterdir() if p.name in FILES} == expected


def test_a_record_of_text_is_none_of_a_trajectory(run):
    path, separate = run / "input.yaml", {"trajectories": "separate"}
    document = json.loads(path.read_text())
    document |= {"replicas": 2, "output": document["output"] | separate}
    path.write_text(json.dumps(document | {"steps": 10}))
    session.run(load_config(path), run / "many")
    header, arrays = parts((run / "many" / "checkpoint").read_bytes())
    header["outputs"]["trajectory"]["1"] = header["outputs"]["log"]
    for name in ("checkpoint", "checkpoint.prev"):
        (run / "many" / name).write_bytes(sealed(header, arrays))
    path.write_text(json.dumps(document))
    with pytest.raises(CorruptError, match="it says nothing of trajectory 1"):
        session.run(load_config(path), run / "many")


FILES = "trajectory.nc", "log.csv", "checkpoint", "final.extxyz", "topology.pdb"


def test_a_shape_of_truth_values_is_the_same_shape(run):
    path = run / "output" / "checkpoint"
    header, arrays = parts(path.read_bytes())
    header["arrays"]["energies"], header["arrays"]["replicas"] = ["<f8", True], ["<i8", 1.0]
    path.write_bytes(sealed(header, arrays))
    resume(run)
    assert parts(path.read_bytes())[0]["arrays"]["energies"] == ["<f8", 1]


def test_the_changes_above_begin_at_a_checkpoint_that_fits(run):
    path = run / "output" / "checkpoint"
    path.write_bytes(sealed(*parts(path.read_bytes())))
    resume(run)
    assert parts(path.read_bytes())[0]["step"] == 12


def test_atoms_of_another_system_are_one_line(run):
    path = run / "output" / "checkpoint"
    header, arrays = parts(path.read_bytes())
    assert sorted(header["arrays"]) == [
        "baths", "cells", "energies", "forces", "positions", "replicas", "velocities"
    ]  # fmt: skip
    for name in ("positions", "velocities", "forces"):
        header["arrays"][name] = ["<f8", 1, 2, 3]
    cells_and_energies, vectors, replicas = arrays[:80], arrays[80 : 80 + 96], arrays[-80:-72]
    arrays = cells_and_energies + vectors + replicas + arrays[-48:]
    path.write_bytes(sealed(header, arrays))
    with pytest.raises(CorruptError, match="it has 2 atoms, the input 3"):
        resume(run)


def fuzz(folder: Path, scratch: Path, seed: int, n: int) -> tuple[int, int]:
    """Resume from checkpoints with one to two odd entries; return how many were refused, or not."""
    rng = random.Random(seed)
    header, arrays = parts((folder / "output" / "checkpoint").read_bytes())
    refused = 0
    for case in range(n):
        if rng.random() < 0.8:
            data = sealed(mutations.of_tree(rng, header), arrays)
        else:
            data = sealed(header, mutations.of_bytes(rng, arrays))
        run = Path(shutil.copytree(folder, scratch / "case"))
        (run / "output" / "checkpoint").write_bytes(data)
        try:
            resume(run)
        except (CorruptError, MismatchError, NumericalError) as error:
            assert "\n" not in error.message
            refused += 1
        except BaseException as error:
            error.add_note(f"seed {seed}, case {case}")
            raise
        finally:
            shutil.rmtree(run)
    return refused, n - refused


def test_odd_contents_are_one_line_or_harmless(whole, tmp_path):
    refused, used = fuzz(whole, tmp_path, 1, 60)
    assert refused > 30 and used > 0


@pytest.mark.slow
def test_odd_contents_are_one_line_or_harmless_in_thousands_of_cases(whole, tmp_path):
    refused, used = fuzz(whole, tmp_path, 20261129, 5_000)
    assert refused + used == 5_000
