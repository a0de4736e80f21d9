"""Learning curve and ablations of water: one training for each row, way and seed.

    python runs/train-water/study.py                       # all; goes on where it was stopped
    python runs/train-water/study.py --rows frames-10 rank-one --seeds 1
    python runs/train-water/study.py --steps 20            # a first look at all

Each training is that of train.yaml beside this file but for what its row changes, once with either
piece of the trajectory as the test. Packages, logs and reports lie in `study`, errors in
`study/results.json`; the table at the end has their means, and the exponent of the learning curve.
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import yaml  # type: ignore[import-untyped]

import qmd
from qmd.io import files

HERE = Path(__file__).resolve().parent
FRAMES = 10, 20, 40, 80
ROWS: dict[str, dict[str, Any]] = {f"frames-{n}": {"frames": n} for n in FRAMES} | {
    "all": {},
    "rank-one": {"model": {"rank": 1}},
    "no-scalars": {"model": {"scalars": False, "rank": 1}},
    "uncoupled": {"model": {"control": "uncoupled"}},
    "frozen": {"model": {"control": "frozen"}},
}
"""What each row changes: keys of the model, or the number of frames that are fitted."""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", nargs="*", choices=ROWS, default=list(ROWS), metavar="ROW")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, help="of each stage; default: those of train.yaml")
    parser.add_argument("--output", type=Path, default=HERE / "study")
    arguments = parser.parse_args()
    written = yaml.safe_load((HERE / "train.yaml").read_text())
    written["dataset"] = str(HERE / written["dataset"])
    arguments.output.mkdir(exist_ok=True)
    path = arguments.output / "results.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    for seed in range(arguments.seeds):
        for row in arguments.rows:
            for tested in (1, 0):
                name = f"{row}-tested-{tested}-seed-{seed}"
                if name in results:
                    continue
                made = qmd.train(
                    changed(written, row, tested, seed, arguments.steps),
                    output=arguments.output / f"{name}.qmdp",
                )
                errors = made.errors["test"]["all"]
                results[name] = errors | {"fitted_frames": ROWS[row].get("frames")}
                files.write_text(path, json.dumps(results, indent=1, sort_keys=True))
                print(name, *in_words([errors]), flush=True)
    print(*table(results), sep="\n")


def changed(written, row, tested, seed, steps=None):
    """Return the input of a training."""
    change = ROWS[row]
    stages = [
        stage
        | ({"frames": change["frames"]} if "frames" in change else {})
        | ({"steps": steps} if steps else {})
        for stage in written["stages"]
    ]
    return written | {
        "model": written["model"] | change.get("model", {}),
        "split": written["split"] | {"test_groups": [tested]},
        "starts": {"count": 1, "seed": seed},
        "stages": stages,
    }


def table(results):
    """Return a line for each row with its mean errors, and one for the learning curve."""
    found = {
        row: [value for name, value in results.items() if name.startswith(f"{row}-tested")]
        for row in ROWS
    }
    lines = [f"{row:12}{len(all_):3} trainings  " + "  ".join(in_words(all_))
             for row, all_ in found.items() if all_]  # fmt: skip
    curve = [(n, mean(found[f"frames-{n}"], FORCES)) for n in FRAMES if found[f"frames-{n}"]]
    if len(curve) > 1:
        frames, errors = np.log(np.array(curve)).T
        exponent = np.polyfit(frames, errors, 1)[0]
        lines.append(f"forces fall as the number of frames to the power {exponent:.2f}")
    return lines


ENERGY, FORCES = "energy_rmse_meV_per_atom", "forces_rmse_meV_per_A"


def in_words(errors):
    return f"{mean(errors, ENERGY):.3f} meV/atom", f"{mean(errors, FORCES):.1f} meV/A"


def mean(errors, key):
    return float(np.mean([each[key] for each in errors]))


if __name__ == "__main__":
    main()
