"""Train every row of the paper's tables, and write the results.

    python runs/paper/run.py                       # all rows; goes on where it was stopped
    python runs/paper/run.py --rows lih h2o-dft    # some
    python runs/paper/run.py --seeds 1             # a first look at all
    python runs/paper/run.py --rows                # none: only the page and its plots

Each row and seed has a folder under `output`. Results are kept in `results.json`, seed by seed; one
whose input or labels have changed is trained again. Third-party labels are looked for in --data.
"""

import argparse
import hashlib
import json
import shutil
import time
from pathlib import Path

import numpy as np
import report
from rows import ROWS

from qmd.audit import evaluation
from qmd.config import load as inputs
from qmd.data.datasets import Dataset
from qmd.errors import InputError
from qmd.forces.jax_cache import use_compilation_cache
from qmd.io import files
from qmd.jobs.provenance import machine, versions
from qmd.potentials import load
from qmd.train import session as train_session
from qmd.train.config import MAY_CHANGE_ON_RESUME, TrainConfig

HERE = Path(__file__).resolve().parent
OUTPUT, RESULTS = HERE / "output", HERE / "results.json"
DATA = HERE.parents[2] / "shared" / "data"
SEEDS_APART = 100
"""Between the seeds of two trainings, so that no random start serves both."""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", nargs="*", choices=ROWS, default=list(ROWS), metavar="ROW")
    parser.add_argument("--seeds", type=int, default=5, help="at most so many of each row")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of third-party labels")
    arguments = parser.parse_args()
    use_compilation_cache()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in arguments.rows:
        measure(ROWS[name], arguments.data, results, arguments.seeds)
    report.write(results)


def measure(row, data, results, seeds):
    """Train all seeds of a row that have no result yet; `results`, its file and the page grow."""
    for seed in range(min(seeds, row.seeds)):
        try:
            prepared = prepare(row, data, seed)
        except InputError as error:
            print(f"{row.name}: not measured: {error.message}", flush=True)
            return
        key = identity(prepared)
        known = results.setdefault(row.name, {})
        if known.get(str(seed), {}).get("identity") != key:
            known[str(seed)] = {"identity": key} | train(prepared)
            files.write_text(RESULTS, json.dumps(results, indent=1) + "\n")
            report.write(results)
            print(f"{row.name}, seed {seed}: {json.dumps(known[str(seed)])}", flush=True)


def prepare(row, data, seed):
    """The checked input of a seed, in a folder of its own."""
    source = HERE / row.input
    if not source.exists():
        raise InputError(f"there is no {row.input}")
    labels = data / row.data if row.data else source.parent / dataset_of(source)
    if not labels.exists():
        raise InputError(f"there is no {labels}; runs/paper/README.md says where to get it")
    changes = {
        **row.changes, "dataset": f"'{labels.resolve()}'", "workers": 1,
        "starts.seed": SEEDS_APART * seed, "label_noise.seed": seed,
    }  # fmt: skip
    folder = OUTPUT / row.name / f"seed-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, folder / "train.yaml")
    overrides = [f"{key}={value}" for key, value in changes.items()]
    loaded = inputs.load(folder / "train.yaml", TrainConfig, overrides)
    return train_session.prepare(loaded)


def dataset_of(source):
    """The labels that an input names."""
    return inputs.load(source, TrainConfig).config.dataset


def identity(prepared):
    """SHA-256 of what a result depends on besides versions: keys that are set, and labels."""
    config = prepared.config.model_dump(
        mode="json", exclude_unset=True, exclude=set(MAY_CHANGE_ON_RESUME)
    )
    return hashlib.sha256(json.dumps([config, prepared.data.sha256]).encode()).hexdigest()


def train(prepared):
    """Train, and measure on frames that had no part in it, free of noise."""
    begin = time.process_time()
    finished = train_session.run(prepared, overwrite=True)
    seconds = time.process_time() - begin
    package = load(finished.package)
    test = unseen(prepared.data)
    measured = evaluation.evaluate(package, test)
    turned = evaluation.evaluate(package, rotated(test))
    fitted = finished.card["errors"]["train"]["all"]
    return {
        "frames": {part: len(frames.energies) for part, frames in prepared.data.parts.items()},
        "parameters": finished.card["parameters"],
        "mse_energy_eV2": rounded(measured.mse_energy_eV2),
        "mse_forces_eV2_per_A2": rounded(measured.mse_forces_eV2_per_A2),
        "train_mse_energy_eV2": rounded(fitted["energy_mse_eV2"]),
        "train_mse_forces_eV2_per_A2": rounded(fitted["forces_mse_eV2_per_A2"]),
        "rotated_mse_energy_eV2": rounded(turned.mse_energy_eV2),
        "rotated_mse_forces_eV2_per_A2": rounded(turned.mse_forces_eV2_per_A2),
        "cpu_seconds": round(seconds, 1),
        "made_with": ", ".join(f"{name} {version}" for name, version in versions("jax").items()),
        "made_on": machine()["cpu"],
    }


def unseen(data):
    """The test frames, in the absolute energies of their file."""
    return Dataset(
        numbers=None,
        positions=data.test.positions,
        energies=data.test.energies + data.zero,
        forces=data.test.forces,
        sha256=data.sha256["dataset"],
        name="test frames",
    )


def rotated(frames):
    """Each frame turned at random: the same energies, and forces that turn along."""
    from scipy.spatial.transform import Rotation

    turns = Rotation.random(len(frames), random_state=0).as_matrix()
    return Dataset(
        numbers=None,
        positions=np.einsum("fij,faj->fai", turns, frames.positions),
        energies=frames.energies,
        forces=np.einsum("fij,faj->fai", turns, frames.forces),
        sha256=frames.sha256,
        name=f"{frames.name}, turned",
    )


def rounded(value):
    """Four digits, which is more than the spread of the seeds is worth."""
    return float(f"{value:.4g}")


if __name__ == "__main__":
    main()
