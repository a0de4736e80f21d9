"""Run many replicas of every shipped model: `python tests/stability.py [MODEL ...]`.

100 replicas of 100 ps at 300 K and 10 at 500 K, in batches of five. A batch that was stopped begins
again; the same command goes on with the others. A replica fails where a guard of `qmd run` ends it
(the trained domain among them), or a hydrogen is 2.5 angstrom from all other atoms. `--docs FILE`
writes the table of the file between the markers of a page. Exit code 1: a replica has failed.
"""

import argparse
import csv
import json
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

sys.path[:0] = [str(Path(__file__).parent / "helpers"), str(Path(__file__).parents[1])]

import pages  # noqa: E402
from shipped_models import RESULTS, STRUCTURES, kept, save, shipped  # noqa: E402

from qmd.errors import NumericalError  # noqa: E402
from qmd.integrators import initial_state  # noqa: E402
from qmd.io import extxyz, trajectory  # noqa: E402
from qmd.run import session  # noqa: E402
from qmd.run.config import load_config  # noqa: E402

DT_FS, LENGTH_PS, BATCH, FRAME_FS = 0.5, 100.0, 5, 100.0
FRICTION_PER_PS = 1.0
REPLICAS = {300: 100, 500: 10}
"""Number of replicas at each temperature (K)."""
LOST_A = 2.5
"""Distance from all other atoms at which a hydrogen is lost."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=list(STRUCTURES))
    parser.add_argument("--json", type=Path, default=RESULTS / "stability.json",
                        help="counts, kept after each batch")  # fmt: skip
    parser.add_argument("--docs", type=Path, help="page whose table is written anew")
    parser.add_argument("--only-docs", action="store_true", help="run nothing")
    options = parser.parse_args()
    found = kept(options.json)
    for label, kelvin, first in [] if options.only_docs else batches(options.models):
        key = f"{label}, {kelvin} K, {first}"
        if key not in found:
            found[key] = run(label, kelvin, first)
            save(options.json, found)
            print(key, found[key], flush=True)
    if options.docs:
        pages.write(options.docs, "stability", table(found))
    return any(one["failures"] for one in found.values())


def batches(labels: list[str]) -> list[tuple[str, int, int]]:
    """Return model, temperature and first replica of all batches: a few of each model first."""
    last = max(REPLICAS.values())
    return [
        (label, kelvin, first)
        for first in range(0, last, BATCH)
        for kelvin, number in REPLICAS.items()
        for label in labels
        if first < number
    ]


def run(label: str, kelvin: int, first: int) -> dict[str, Any]:
    """Run one batch of replicas; return what failed, and how far it went from the domain."""
    model = shipped(label)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        state = initial_state(model.package.native(), model.system.positions,
                              np.zeros_like(model.system.positions))  # fmt: skip
        extxyz.write(folder / "start.xyz", model.system, [state])
        (folder / "input.yaml").write_text(json.dumps(settings(model, kelvin, first)))
        output, stopped = folder / "output", ""
        try:
            session.run(load_config(folder / "input.yaml"), output)
        except NumericalError as error:  # all replicas have failed
            stopped = error.message
        return summary(model, output, stopped)


def settings(model: Any, kelvin: int, first: int) -> dict[str, Any]:
    """Return the input of a batch."""
    return {
        "system": {"structure": "start.xyz", "temperature_K": kelvin},
        "potential": model.name,
        "integrator": {
            "kind": "langevin_baoab", "timestep_fs": DT_FS, "temperature_K": kelvin,
            "friction_per_ps": FRICTION_PER_PS,
        },
        "confinement": model.confinement,
        "steps": round(1000 * LENGTH_PS / DT_FS),
        "replica": first,
        "replicas": BATCH,
        "threads": 1,
        "output": {
            "trajectory_every": round(FRAME_FS / DT_FS), "log_every": round(FRAME_FS / DT_FS),
            "checkpoint_every": 10_000,
        },
        "guards": {"on_failure": "drop"},
    }  # fmt: skip


def summary(model: Any, output: Path, stopped: str) -> dict[str, Any]:
    """Return failures, steps beyond the warning level, and the farthest hydrogen of a batch."""
    record = json.loads((output / "run.json").read_text())
    with (output / "replicas.csv").open() as file:
        rows = list(csv.DictReader(file))
    positions = trajectory.read_frames(output / "trajectory.nc")["coordinates"].astype(float)
    positions = positions.reshape(-1, len(model.system.symbols), 3)
    hydrogens = model.system.numbers == 1
    between = np.linalg.norm(positions[:, hydrogens, None] - positions[:, None], axis=-1)
    between[:, np.arange(hydrogens.sum()), np.flatnonzero(hydrogens)] = np.inf
    farthest = float(between.min(axis=2).max())
    failures = [row["end"] for row in rows if row["end"] != "done"]
    failures += [stopped] * bool(stopped)
    failures += [f"a hydrogen at {farthest:.2f} angstrom"] * (farthest > LOST_A)
    return {
        "replicas": len(rows),
        "failures": failures,
        "steps": sum(int(row["last_step"]) for row in rows),
        "steps_beyond_warning": record["last_session"]["steps_outside_training_range"],
        "farthest_hydrogen_A": round(farthest, 3),
        "date": time.strftime("%Y-%m-%d"),
    }


def table(found: dict[str, Any]) -> str:
    """Return the counts as a table: a row for each model and temperature."""
    groups = defaultdict(list)
    for key, one in found.items():
        groups[key.rpartition(",")[0].rpartition(", ")[::2]].append(one)
    lines = [
        "| model | temperature | replicas | of | failures | time | steps beyond the warning level "
        "| farthest hydrogen | date |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for label in STRUCTURES:
        for kelvin, number in REPLICAS.items():
            if some := groups.get((label, f"{kelvin} K")):
                steps = sum(one["steps"] for one in some)
                beyond = sum(one["steps_beyond_warning"] for one in some)
                name, comma, molecule = label.partition(",")
                lines.append(
                    f"| `{name}`{comma}{molecule} | {kelvin} K "
                    f"| {sum(one['replicas'] for one in some)} | {number} "
                    f"| {sum(len(one['failures']) for one in some)} "
                    f"| {steps * DT_FS / 1e6:.3g} ns | {100 * beyond / steps:.2g} % "
                    f"| {max(one['farthest_hydrogen_A'] for one in some):.2f} angstrom "
                    f"| {max(one['date'] for one in some)} |"
                )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
