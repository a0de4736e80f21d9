"""Runs of every kind that are killed at random moments, and end with the bytes of others."""

import io
import itertools
import json
import random
import re
import shutil
import signal
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from forked import ROOT, Ended, Lab

WATER = np.array([[0.0, 0.0, 0.0], [0.766, 0.5985, 0.0], [-0.766, 0.5985, 0.0]])
LANGEVIN = {"kind": "langevin_baoab", "timestep_fs": 0.5, "temperature_K": 300}
RUN: dict[str, Any] = {
    "system": {"structure": "h2o", "temperature_K": 300},
    "potential": "sivqlm-h2o",
    "integrator": LANGEVIN,
    "steps": 211,
    "output": {"trajectory_every": 7, "log_every": 3, "checkpoint_every": 10},
}
REPLICAS = RUN | {"replicas": 5, "replica": 3, "threads": 2, "steps": 61}
GUARD = {"max_force_eV_per_A": 1.3, "on_failure": "drop"}
"""In 60 steps two of the five replicas meet a larger force, and are dropped."""
MORSE = {"kind": "morse", "bonds": [[0, 1], [0, 2]], "depth_eV": 5.0, "steepness_per_A": 2.2,
         "length_A": 0.97}  # fmt: skip
ARGON: dict[str, Any] = {
    "system": {"structure": "argon-108", "temperature_K": 94},
    "potential": {
        "kind": "lennard_jones", "epsilon_eV": 0.0103, "sigma_A": 3.4, "cutoff_A": 7.0,
        "truncation": "force_shift", "skin_A": 0.3,
    },
    "steps": 61,
    "replicas": 3,
    "replica": 2,
    "threads": 2,
    "output": {"trajectory_every": 9, "log_every": 4, "checkpoint_every": 10},
}  # fmt: skip
BAROSTAT = {
    "kind": "cell_rescaling", "timestep_fs": 4, "temperature_K": 94, "relaxation_time_fs": 100,
    "pressure_bar": 2000, "pressure_relaxation_time_fs": 200, "compressibility_per_bar": 2e-5,
}  # fmt: skip
"""The cell loses 6 % of its volume in 60 steps, and lists are built anew."""


@dataclass(frozen=True)
class Kind:
    """A kind of run: how its inputs are written, and which command runs them."""

    command: str
    write: Callable[[Path], Any]
    """Takes the folder for the inputs; returns the content of `input.yaml`."""
    output: str = "output"
    """Output beside the input: a folder, or a file with a card beside it."""
    clears: bool = False
    """Begin with a finished run of another seed in the output folder, and --overwrite."""


def _run(**changes: Any) -> Callable[[Path], Any]:
    return lambda folder: RUN | changes


def _replicas(**changes: Any) -> Callable[[Path], Any]:
    return lambda folder: REPLICAS | changes


def _constant_pressure(scaling: str, **changes: Any) -> Callable[[Path], Any]:
    return lambda folder: ARGON | {"integrator": BAROSTAT | {"scaling": scaling}} | changes


def _ensemble(folder: Path) -> Any:
    (folder / "run.yaml").write_text(json.dumps(RUN | {"steps": 61}))
    return {"input": "run.yaml", "vary": [{"seed": [1, 2]}], "executor": {"kind": "serial"}}


def _labels(folder: Path) -> Any:
    frames = WATER + 0.02 * np.random.default_rng(5).standard_normal((40, 3, 3))
    np.savez(folder / "frames.npz", Z=np.array([8, 1, 1]), R=frames)
    method = {"kind": "ase", "calculator": "ase.calculators.emt.EMT"}
    serial = {"kind": "serial"}
    return {"structures": "frames.npz", "method": method, "save_every": 3, "executor": serial}


def _training(folder: Path) -> Any:
    return {
        "name": "lih",
        "dataset": str(ROOT / "runs" / "labels-lih" / "lih.npz"),
        "model": {"kind": "sivqlm-lih", "layers": 2},
        "split": {"train": 40, "validation": 20, "seed": 3},
        "stages": [
            {"kind": "least_squares", "evaluations": 6, "frames": 20},
            {"kind": "adam", "steps": 20, "report_every": 5, "learning_rate": 0.001},
        ],
        "starts": {"count": 2, "finalists": 1},
        "executor": {"kind": "serial"},
        "licence": "CC0-1.0",
    }


def _benchmark(folder: Path) -> Any:
    return {
        "title": "Two waters",
        "potentials": {"siVQLM": "sivqlm-h2o", "Morse": MORSE},
        "measures": [
            {"kind": "nve", "structure": "h2o", "temperature_K": 300, "timesteps_fs": [0.5],
             "length_ps": 0.1, "seeds": 1},
            {"kind": "stability", "structure": "h2o", "temperatures_K": [300],
             "length_ps": 0.1, "seeds": 1},
            {"kind": "symmetry", "structure": "h2o", "geometries": 2},
        ],
    }  # fmt: skip


NVE = {"kind": "velocity_verlet", "timestep_fs": 0.5}
RAMP = {"from_K": 300, "to_K": 400, "steps": 100}
CHAIN = {"kind": "nose_hoover_chain", "timestep_fs": 0.5, "temperature_K": RAMP,
         "remove_drift_every": 9}  # fmt: skip
RESCALED = {"kind": "velocity_rescaling", "timestep_fs": 0.5, "temperature_K": 300}
KINDS = {
    "run, Langevin": Kind("run", _run()),
    "constant pressure, replicas": Kind("run", _constant_pressure("isotropic")),
    "run, constant energy": Kind("run", _run(integrator=NVE)),
    "run, Nose-Hoover chain": Kind("run", _run(integrator=CHAIN)),
    "run, velocity rescaling": Kind("run", _run(integrator=RESCALED)),
    "run, finite shots": Kind("run", _run(noise={"shots": 10**9})),
    "run, over an older one": Kind("run", _run(), clears=True),
    "replicas, together": Kind("run", _replicas()),
    "replicas, separate": Kind(
        "run", _replicas(output=REPLICAS["output"] | {"trajectories": "separate"})
    ),
    "replicas, some dropped": Kind("run", _replicas(guards=GUARD)),
    "constant pressure, any shape": Kind(
        "run",
        _constant_pressure("anisotropic", output=ARGON["output"] | {"trajectories": "separate"}),
    ),
    "replicas, over older ones": Kind("run", _replicas(), clears=True),
    "ensemble": Kind("ensemble", _ensemble, "input"),
    "labels": Kind("label", _labels, "labels.npz"),
    "training": Kind("train", _training),
    "benchmark": Kind("benchmark", _benchmark, "input"),
}
MODULES = (
    "qmd.label.session", "qmd.benchmark.session", "matplotlib.pyplot", "ase.calculators.emt",
    "qmd.train.session",
)  # fmt: skip
"""Modules that these commands load; the last one for trainings only."""


@dataclass
class Killed:
    """What happened to runs of one kind."""

    kills: int = 0
    at_operation: int = 0
    """Kills at a random operation on a file; the others are at a random moment."""
    runs: int = 0
    """Finished runs, each compared with one that was not killed."""
    failures: list[str] = field(default_factory=list)
    """One line for each run that did not end with the same bytes."""


_COMPILES_S = 2.0
"""A run that takes longer has compiled kernels: it is timed again."""


class Bench:
    """Inputs of one kind, and the results of a run that nobody kills.

    Parameters
    ----------
    kind : str
        Key of `KINDS`.
    folder : Path
        Empty folder for inputs and results.
    lab : Lab
    """

    def __init__(self, kind: str, folder: Path, lab: Lab) -> None:
        self.kind, self._lab = KINDS[kind], lab
        self._input, self._output = folder / "input.yaml", folder / self.kind.output
        document = self.kind.write(folder)
        self._input.write_text(json.dumps(document))
        if self.kind.clears:
            self._older = folder / "older.yaml"
            self._older.write_text(json.dumps(document | {"seed": 77, "steps": 100}))
            self._must(self._run(path=self._older))
            shutil.copytree(self._output, folder / "kept")
        ended = self._must(self._run(*self._overwrite))
        if ended.seconds > _COMPILES_S:
            self._clear()
            ended = self._must(self._run(*self._overwrite))
        self.seconds, self.operations = ended.seconds, ended.operations
        self.expected = self.results()

    @property
    def _overwrite(self) -> list[str]:
        return ["--overwrite"] if self.kind.clears else []

    def _run(self, *arguments: str, path: Path | None = None, **circumstances: Any) -> Ended:
        return self._lab.qmd(
            self.kind.command, path or self._input, "--quiet", *arguments,
            counted=self._input.parent, **circumstances,
        )  # fmt: skip

    @staticmethod
    def _must(ended: Ended) -> Ended:
        assert ended.code == 0, ended.output
        return ended

    def results(self) -> dict[str, bytes]:
        """Content of all result files, without times and the older checkpoint."""
        found = {}
        for path in sorted(self._input.parent.glob("*")):
            if path.name in ("kept", "older.yaml"):
                continue
            for file in [path] if path.is_file() else sorted(path.rglob("*")):
                if file.is_file() and not is_timed(file):
                    name = str(file.relative_to(self._input.parent))
                    found[name] = without_times(file)
        return found

    def _clear(self) -> None:
        for path in self._output.parent.glob(f"{self._output.stem}*"):
            if path != self._input and path.is_dir():
                shutil.rmtree(path)
            elif path != self._input:
                path.unlink()
        if self.kind.clears:
            shutil.copytree(self._output.parent / "kept", self._output)

    def kill(self, moments: random.Random, most: int, killed: Killed) -> None:
        """Kill one run again and again, at most `most` times; its results must not show it."""
        self._clear()
        overwrite = self._overwrite
        for _ in range(most):
            if moments.random() < 0.5:
                at: dict[str, Any] = {
                    "die_at": int(self.operations * moments.random() ** 2)
                }  # runs go on
            else:
                after_s = moments.uniform(0, 0.8 * self.seconds)
                at = {"disturb": (signal.SIGKILL,), "after_s": after_s}
            ended = self._run(*overwrite, **at)
            if ended.code == 3 and self.kind.clears and not overwrite:
                overwrite = self._overwrite  # killed before the older run had been marked
                continue
            if ended.code != -signal.SIGKILL:
                break
            killed.kills += 1
            killed.at_operation += "die_at" in at
            overwrite = []
        else:
            ended = self._run(*overwrite)
            if ended.code == 3 and self.kind.clears:
                ended = self._run(*self._overwrite)
        self._must(ended)
        found = self.results()
        assert found.keys() == self.expected.keys(), found.keys() ^ self.expected.keys()
        different = [name for name in found if found[name] != self.expected[name]]
        assert not different, different


def is_timed(path: Path) -> bool:
    """Return True for files that hold times or places, or depend on where a kill fell."""
    return path.name in (
        "run.json", "run.lock", "checkpoint.prev", "report.html", "learning-curve.png",
        "results.json",
    )  # fmt: skip


def without_times(path: Path) -> bytes:
    """Return the content of a result file; of a training, without the seconds it took."""
    content = path.read_bytes()
    if content.startswith(b"start,"):  # the log of a training: seconds are the last column
        return b"\n".join(line.rpartition(b",")[0] for line in content.splitlines())
    if path.suffix == ".npz" and path.parent.name == "states":
        with np.load(io.BytesIO(content)) as arrays:
            kept = {key: arrays[key] for key in sorted(arrays)}
        kept["rows"] = kept["rows"][:, :-1]
        return b"".join(key.encode() + value.tobytes() for key, value in kept.items())
    if path.suffix == ".qmdp":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return b"".join(_SECONDS.sub(b"", archive.read(name)) for name in archive.namelist())
    return _SECONDS.sub(b"", content) if path.name == "card.json" else content


_SECONDS = re.compile(rb'"seconds_of_[a-z_]+": *[0-9.]+')


def kill_all(
    folder: Path, lab: Lab, number: int, seed: int, found: dict[str, Killed], most: int = 5
) -> Iterator[None]:
    """Kill runs of each kind in `found` in turn, until there are `number` kills in all.

    Parameters
    ----------
    folder : Path
        Empty folder.
    lab : Lab
    number : int
    seed : int
        Kind, seed and number of the run determine where it is killed.
    found : dict
        What is known from before; it is brought up to date after each run, which then yields.
    most : int
        Largest number of kills of one run.
    """
    benches: dict[str, Bench] = {}
    for kind in itertools.cycle(found):
        left = number - sum(one.kills for one in found.values())
        if left <= 0:
            return
        if kind not in benches:
            (folder / kind).mkdir()
            benches[kind] = Bench(kind, folder / kind, lab)
        one = found[kind]
        moments = random.Random(f"{seed}, {kind}, {one.runs}")
        try:
            benches[kind].kill(moments, min(left, moments.randint(1, most)), one)
        except AssertionError as error:
            one.failures.append(f"seed {seed}, run {one.runs}: {error}"[:2000])
        one.runs += 1
        yield
