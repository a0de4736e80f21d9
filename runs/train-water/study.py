"""Learning curves, twins and ablations of water: one training for each row, way and seed.

    python runs/train-water/study.py                       # all; goes on where it was stopped
    python runs/train-water/study.py --rows frames-10 rank-one --seeds 1 --tested 1
    python runs/train-water/study.py --steps 20            # a first look at all
    python runs/train-water/study.py --page                # the table of docs/liquid.md alone

Each training is that of train.yaml beside this file but for what its row changes, once with either
piece of the trajectory as the test. Packages, logs and reports lie in `study`, errors in
`results.json`, those of linear ACE, which ace.py makes, in `ace.json`. The table in docs/liquid.md
has their means, and the exponents of the learning curves with the standard error of the line
through the logarithms.

The perceptron is the classical twin: the invariants of the same densities, rank two included, in
4,494 numbers where the circuit has 4,542.
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
PAGE = HERE.parents[1] / "docs" / "liquid.md"
RESULTS, PEER = HERE / "results.json", HERE / "ace.json"
BEGIN, END = "<!-- Written by runs/train-water/study.py: begin -->\n", "<!-- end of the study -->\n"
FRAMES = 10, 20, 40, 80
PERCEPTRON: dict[str, Any] = {
    "kind": "perceptron", "vectors": 5, "scalars": 6, "tensors": 3, "hidden": 18, "radial": 14,
    "cutoff_A": 5.0,
}  # fmt: skip
ROWS: dict[str, dict[str, Any]] = {
    **{f"frames-{n}": {"frames": n} for n in FRAMES},
    "all": {},
    **{f"perceptron-{n}": {"frames": n, "twin": PERCEPTRON} for n in FRAMES},
    "perceptron-all": {"twin": PERCEPTRON},
    "rank-one": {"model": {"rank": 1}},
    "no-scalars": {"model": {"scalars": False, "rank": 1}},
    "uncoupled": {"model": {"control": "uncoupled"}},
    "frozen": {"model": {"control": "frozen"}},
}
"""What each row changes: keys of the model, all of it (`twin`), or the number of fitted frames."""
MODELS = {
    "frames": "circuit", "": "circuit", "perceptron": "perceptron", "ace": "linear ACE",
    "rank-one": "circuit, vectors alone", "no-scalars": "circuit, vectors and no scalars",
    "uncoupled": "circuit, qubits not coupled", "frozen": "circuit, random and kept",
}  # fmt: skip
CURVES = {"circuit": "frames-", "perceptron": "perceptron-", "linear ACE": "ace-"}
"""Learning curves, and how the names of their rows begin."""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", nargs="*", choices=ROWS, default=list(ROWS), metavar="ROW")
    parser.add_argument("--tested", nargs="*", type=int, choices=(0, 1), default=[1, 0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, help="of each stage; default: those of train.yaml")
    parser.add_argument("--output", type=Path, default=HERE / "study")
    parser.add_argument("--page", action="store_true", help="train nothing, write the table")
    arguments = parser.parse_args()
    if not arguments.page:
        train_all(arguments)
    write_page(PAGE, *(json.loads(p.read_text()) for p in (RESULTS, PEER) if p.exists()))


def train_all(arguments):
    """Run the trainings that have no result yet."""
    written = yaml.safe_load((HERE / "train.yaml").read_text())
    written["dataset"] = str(HERE / written["dataset"])
    arguments.output.mkdir(exist_ok=True)
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for seed in range(arguments.seeds):
        for row in arguments.rows:
            for tested in arguments.tested:
                name = f"{row}-tested-{tested}-seed-{seed}"
                if name in results:
                    continue
                made = qmd.train(
                    changed(written, row, tested, seed, arguments.steps),
                    output=arguments.output / f"{name}.qmdp",
                )
                errors = made.errors["test"]["all"]
                results[name] = errors | {
                    "fitted_frames": ROWS[row].get("frames"), "steps": steps_of(written, arguments),
                }  # fmt: skip
                files.write_text(RESULTS, json.dumps(results, indent=1, sort_keys=True) + "\n")
                print(name, *in_words([errors]), flush=True)


def write_page(path, *results):
    """Replace the tables of the page by those of results."""
    before, _, rest = path.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    lines = table({name: value for part in results for name, value in part.items()})
    files.write_text(path, before + BEGIN + "\n".join(lines) + "\n" + END + after)


def steps_of(written, arguments):
    """Return the steps of a training, all stages together."""
    return sum(arguments.steps or stage["steps"] for stage in written["stages"])


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
        "model": change.get("twin") or written["model"] | change.get("model", {}),
        "split": written["split"] | {"test_groups": [tested]},
        "starts": {"count": 1, "seed": seed},
        "stages": stages,
    }


def table(results):
    """Return the lines of a table with the mean errors of each row, and those of the curves."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for name, value in results.items():
        rows.setdefault(name.partition("-tested-")[0], []).append(value)
    known = list(ROWS)
    ordered = sorted(rows, key=lambda row: known.index(row) if row in known else len(known))
    lines = [
        "| model | frames fitted | trainings | steps | energies, meV/atom | forces, meV/A |",
        "| --- | --: | --: | --: | --: | --: |",
    ]
    for row in ordered:
        steps = "/".join(sorted({str(value.get("steps", "-")) for value in rows[row]}))
        energy, forces = (with_spread(rows[row], kind) for kind in (ENERGY, FORCES))
        cells = *in_full(row), str(len(rows[row])), steps, energy, forces
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, "", *exponents(results)]


def in_full(row):
    """Return the name of a model, and the number of its frames."""
    model, _, frames = row.rpartition("-")
    if frames not in ("all", *map(str, FRAMES)):
        return MODELS[row], "all"
    return MODELS[model], frames


def with_spread(values, kind):
    """Return the mean of an error, and half the difference between the least and the largest."""
    found, digits = [value[kind] for value in values], DIGITS[kind]
    spread = f" +- {(max(found) - min(found)) / 2:.{digits}f}" if len(found) > 1 else ""
    return f"{np.mean(found):.{digits}f}{spread}"


def exponents(results):
    """Return a line for each learning curve: forces as a power of the number of frames."""
    lines = []
    for curve, begin in CURVES.items():
        points = [
            (value["fitted_frames"], value[FORCES])
            for name, value in results.items()
            if name.startswith(begin) and value.get("fitted_frames")
        ]
        if len({n for n, _ in points}) > 2:
            slope, error = power(*np.array(points).T)
            lines.append(
                f"{curve}: forces fall as the number of frames to the power {slope:.2f} +- "
                f"{error:.2f}"
            )
    return lines


def power(frames, errors):
    """Return the slope of the logarithms, and its standard error from their scatter."""
    x, y = np.log(frames), np.log(errors)
    x = x - x.mean()
    slope = float(x @ y / (x @ x))
    left = y - y.mean() - slope * x
    return slope, float(np.sqrt(left @ left / (len(x) - 2) / (x @ x)))


ENERGY, FORCES = "energy_rmse_meV_per_atom", "forces_rmse_meV_per_A"
DIGITS = {ENERGY: 3, FORCES: 1}


def in_words(errors):
    return f"{mean(errors, ENERGY):.3f} meV/atom", f"{mean(errors, FORCES):.1f} meV/A"


def mean(errors, key):
    return float(np.mean([each[key] for each in errors]))


if __name__ == "__main__":
    main()
