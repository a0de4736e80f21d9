"""Damaged files of a run: results or one line with a documented exit code, never anything else."""

import json
import os
import random
import shutil
from pathlib import Path

import mutations
import pytest

from qmd.analysis import analyze, potential_of_run
from qmd.errors import CorruptError, InputError, MismatchError
from qmd.run import session
from qmd.run.config import load_config

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning",  # MDAnalysis and its dependencies warn of their own modules
    "ignore::PendingDeprecationWarning",
)
FILES = {
    "run.json": ("bytes", "numbers", "json", "json"),
    "log.csv": ("bytes", "numbers"),
    "topology.pdb": ("bytes", "numbers"),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A run of 20 frames, at constant energy."""
    folder = tmp_path_factory.mktemp("damaged")
    document = {
        "system": {"structure": "h2o", "temperature_K": 300},
        "potential": "sivqlm-h2o",
        "integrator": {"kind": "velocity_verlet", "timestep_fs": 0.5},
        "steps": 19,
        "output": {"trajectory_every": 1, "log_every": 1, "checkpoint_every": 19},
    }
    (folder / "input.yaml").write_text(json.dumps(document))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda fd: None)
        session.run(load_config(folder / "input.yaml"))
    analyze.analyze(folder, timestep=False)
    return folder / "output"


@pytest.fixture
def run(whole, tmp_path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "output"))


def use(folder: Path) -> None:
    """Read and analyse a run, and look for its potential, as `qmd compare` does."""
    found = analyze.analyze(folder, timestep=False)
    json.dumps(analyze.as_data(found), allow_nan=True)
    potential_of_run.potential_of_run(found.run)


def fuzz(folder: Path, seed: int, n: int) -> tuple[int, int]:
    """Damage one file at a time; return how many cases were refused, and how many were not."""
    rng = random.Random(seed)
    refused = 0
    for case in range(n):
        name = rng.choice(list(FILES))
        kind = rng.choice(FILES[name])
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(mutations.KINDS[kind](rng, whole))
        try:
            use(folder)
        except (CorruptError, InputError, MismatchError) as error:
            assert "\n" not in error.message
            refused += 1
        except BaseException as error:
            error.add_note(f"seed {seed}, case {case}: {name}, {kind}")
            raise
        finally:
            (folder / name).write_bytes(whole)
    return refused, n - refused


def entry(name, value):
    """A change of one entry of run.json; `name` has dots."""

    def change(content: bytes) -> bytes:
        record = json.loads(content)
        *path, last = name.split(".")
        holder = record
        for key in path:
            holder = holder[key]
        holder[last] = value
        return json.dumps(record).encode()

    return change


def swap(old: bytes, new: bytes, count: int = 1):
    def change(content: bytes) -> bytes:
        assert old in content
        return content.replace(old, new, count)

    return change


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("run.json", lambda b: b"[" * 100_000, "nested too deeply"),
        ("run.json", lambda b: b"[1]", "no JSON object"),
        ("run.json", lambda b: b"\xff\xfe" + b, "no JSON"),
        ("run.json", swap(b'_freedom": 6', b'_freedom": ' + b"6" * 5000), "no JSON"),
        ("run.json", entry("masses_u", "heavy"), "'masses_u'"),
        ("run.json", entry("masses_u", [16.0, 1.0]), "3 species, but 2 masses|2 masses for 3"),
        ("run.json", entry("masses_u", [16.0, 1.0, 1e308]), "'masses_u.2'"),
        ("run.json", entry("species", ["O", "H", "Q"]), "'Q' is no chemical symbol"),
        ("run.json", entry("species", ["O", "H", "He"]), "has other atoms than the trajectory"),
        ("run.json", entry("degrees_of_freedom", 10), "10 degrees of freedom of 3 atoms"),
        ("run.json", entry("degrees_of_freedom", 10**400), "'degrees_of_freedom'"),
        ("run.json", entry("input.integrator", None), "'input.integrator'"),
        ("run.json", entry("input.integrator.timestep_fs", "0.5"), "timestep_fs"),
        ("run.json", entry("input.potential", {"kind": "x"}), "describes no potential"),
        ("run.json", entry("input.replicas", "two"), "'input.replicas'"),
        ("run.json", entry("potential", {"name": "x"}), "'potential.sha256'"),
        ("run.json", entry("charge", 1.5), "'charge'"),
        ("log.csv", swap(b"time_ps", b"time"), "no column time_ps"),
        ("log.csv", lambda b: b[: b.rindex(b",")], "line 21 has 5 of 6 columns"),
        ("log.csv", swap(b"0.000500000", b"nan"), "not finite"),
        ("log.csv", swap(b"0.000500000", b"1e308"), "beyond 1e\\+15"),
        ("log.csv", swap(b"0.000500000", b"-0.0005"), "its times go back"),
        ("log.csv", swap(b"\n", b"\n\x00"), "log.csv"),
        ("log.csv", lambda b: b + b'"' + b"x" * 200_000, "log.csv"),
        ("topology.pdb", lambda b: b[:-1], "last line is not END"),
        ("topology.pdb", lambda b: b[:90], "last line is not END"),
        ("topology.pdb", lambda b: b"\x00" * 999, "last line is not END"),
        ("topology.pdb", swap(b" O", b" S", 2), "other elements than trajectory.nc"),
        ("topology.pdb", swap(b"CONECT    1", b"CONECT    9"), "line 4 is damaged"),
        ("topology.pdb", swap(b"HETATM", b"REMARK"), "line 1 is damaged"),
    ],
)  # fmt: skip
def test_damage_is_named(run, name, damage, message):
    path = run / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CorruptError, match=message) as caught:
        use(run)
    assert name.split(".")[0] in caught.value.message


def test_a_record_that_is_no_file_does_not_wait(run):
    (run / "run.json").unlink()
    os.mkfifo(run / "run.json")
    with pytest.raises(CorruptError, match="no readable file"):
        use(run)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_damage_is_one_line_or_harmless(run, seed):
    refused, used = fuzz(run, seed, 100)
    assert refused > 30 and used > 5  # the damage reaches both ends


@pytest.mark.slow
def test_damage_is_one_line_or_harmless_in_ten_thousand_cases(run):
    refused, used = fuzz(run, 20261129, 10_000)
    assert refused + used == 10_000
