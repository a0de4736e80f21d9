"""Train the shipped water model on the labels of runs/labels-h2o.

    python runs/train-h2o/train.py

Several random starts are fitted to a quarter of the training frames, the best on the validation
frames are fitted to all of them, and the best of those becomes sivqlm-h2o.qmdp. Each start is kept in output/, so that a
run that is stopped is resumed by the same command. Needs the extra `train`.
"""

import argparse
import json
import time
from pathlib import Path

import jax
import numpy as np

jax.config.update("jax_enable_x64", True)

from qmd import training
from qmd.potentials import sivqlm
from qmd.potentials.model import Parameters

HERE = Path(__file__).parent
LABELS = HERE.parent / "labels-h2o" / "h2o.npz"
SPLIT_SEED, ENERGY_SCALE_EV = 7, 0.5


def load_frames():
    """All labels, energies relative to the lowest one, and that energy (eV)."""
    data = np.load(LABELS)
    reference = float(data["E"].min())
    return training.Frames(data["R"], data["E"] - reference, data["F"]), reference


def split(n):
    """Seeded train (70 %), validation (10 %) and test (20 %) indices."""
    order = np.random.default_rng(SPLIT_SEED).permutation(n)
    return np.split(order, [int(0.7 * n), int(0.8 * n)])


def fit(architecture, frames, initial, evaluations, path):
    """Fit from `initial`, or take the result kept at `path`."""
    if not path.is_file():
        begin = time.monotonic()
        # High energies widen the domain but must not cost accuracy near the minimum.
        weights = 1 / (1 + frames.energies / ENERGY_SCALE_EV)
        result = training.fit(
            architecture, frames, initial, frame_weights=weights, max_evaluations=evaluations,
            report=lambda i, cost: print(f"  {i:4d} cost {cost:.6g}", flush=True) if i % 10 == 0 else None,
        )  # fmt: skip
        seconds = time.monotonic() - begin
        temporary = path.with_suffix(".tmp.npz")
        np.savez(temporary, **result.parameters._asdict(), cost=result.cost, seconds=seconds)
        temporary.rename(path)
    kept = np.load(path)
    return Parameters(*(kept[name] for name in Parameters._fields)), float(kept["seconds"])


def score(architecture, parameters, frames, below_eV=None):
    """RMSE (meV, meV/angstrom), optionally of the frames below an energy only."""
    if below_eV is not None:
        near = frames.energies < below_eV
        frames = training.Frames(*(part[near] for part in frames))
    return training.errors(architecture, parameters, frames)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--starts", type=int, default=8, help="random starts")
    parser.add_argument("--finalists", type=int, default=2, help="starts fitted to the end")
    parser.add_argument("--short", type=int, default=120, help="evaluations of each start")
    parser.add_argument("--long", type=int, default=150, help="more evaluations of a finalist")
    args = parser.parse_args()
    output = HERE / "output"
    output.mkdir(exist_ok=True)
    architecture = sivqlm.water()
    frames, reference = load_frames()
    parts = [training.Frames(*(p[i] for p in frames)) for i in split(len(frames.energies))]
    train, validation, test = parts
    few = training.Frames(*(part[::4] for part in train))
    scores = {}
    for seed in range(args.starts):
        begin = training.start(architecture, train.energies, seed)
        parameters, _ = fit(architecture, few, begin, args.short, output / f"start{seed}.npz")
        scores[seed] = score(architecture, parameters, validation, 0.6)
        print(f"start {seed}: validation below 0.6 eV {scores[seed]}", flush=True)
    best = sorted(scores, key=lambda s: scores[s].forces_rmse_meV_per_A)[: args.finalists]
    finals = {}
    for seed in best:
        kept = np.load(output / f"start{seed}.npz")
        begin = Parameters(*(kept[name] for name in Parameters._fields))
        finals[seed] = fit(architecture, train, begin, args.long, output / f"final{seed}.npz")
        for name, part in zip(("train", "validation", "test"), parts, strict=True):
            for below in (0.6, None):
                print(f"final {seed} {name} {below}: {score(architecture, finals[seed][0], part, below)}", flush=True)


if __name__ == "__main__":
    main()
