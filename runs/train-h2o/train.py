"""Train the shipped water model on the labels of runs/labels-h2o.

    python runs/train-h2o/train.py

Several random starts are fitted to a quarter of the training frames, the best on the validation
frames are fitted to all of them, and the best of those becomes sivqlm-h2o.qmdp. Each start is
kept in output/, so that a run that is stopped is resumed by the same command. Needs the extra
`train`.
"""

import argparse
import hashlib
import json
import time
from pathlib import Path

import jax
import numpy as np
import scipy

from qmd import training
from qmd.potentials import SHIPPED, Domain, Package, Parameters, compiled, save, sivqlm

jax.config.update("jax_enable_x64", True)

HERE = Path(__file__).parent
LABELS = HERE.parent / "labels-h2o" / "h2o.npz"
SPLIT_SEED = 7
STOP_MARGIN = 0.05
"""A run stops this fraction of the range of a distance beyond its ends."""


def load_frames():
    """All labels, energies relative to the lowest one, and that energy (eV)."""
    data = np.load(LABELS)
    reference = float(data["E"].min())
    return training.Frames(data["R"], data["E"] - reference, data["F"]), reference


def split(n):
    """Seeded train (70 %), validation (10 %) and test (20 %) indices."""
    order = np.random.default_rng(SPLIT_SEED).permutation(n)
    return np.split(order, [int(0.7 * n), int(0.8 * n)])


# Frames at high energies widen the domain, but must not cost accuracy near the minimum: first
# loosely, to find the way from a random start, then sharply.
STAGES = {
    "start": (lambda energies: 1 / (1 + energies / 0.5), 3.0),
    "final": (lambda energies: 1 / (1 + (energies / 0.5) ** 2), 10.0),
}


def report(evaluation, cost):
    """A line every ten Jacobians."""
    if evaluation % 10 == 0:
        print(f"  {evaluation:4d} cost {cost:.6g}", flush=True)


def fit(architecture, frames, initial, evaluations, path, stage):
    """Fit from `initial`, or take the result kept at `path`."""
    if not path.is_file():
        begin = time.monotonic()
        weights, energy_weight = STAGES[stage]
        result = training.fit(
            architecture, frames, initial, energy_weight=energy_weight,
            frame_weights=weights(frames.energies), max_evaluations=evaluations,
            report=report,
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
    parser.add_argument("--starts", type=int, default=12, help="random starts")
    parser.add_argument("--finalists", type=int, default=3, help="starts fitted to the end")
    parser.add_argument("--short", type=int, default=150, help="evaluations of each start")
    parser.add_argument("--long", type=int, default=300, help="more evaluations of a finalist")
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
        parameters, _ = fit(
            architecture, few, begin, args.short, output / f"start{seed}.npz", "start"
        )
        scores[seed] = score(architecture, parameters, validation, 0.6)
        print(f"start {seed}: validation below 0.6 eV {scores[seed]}", flush=True)
    best = sorted(scores, key=lambda s: scores[s].forces_rmse_meV_per_A)[: args.finalists]
    finals = {}
    for seed in best:
        begin, _ = fit(architecture, few, None, 0, output / f"start{seed}.npz", "start")
        path = output / f"final{seed}.npz"
        finals[seed], _ = fit(architecture, train, begin, args.long, path, "final")
        print(f"final {seed}: {score(architecture, finals[seed], validation, 0.6)}", flush=True)
    chosen = min(best, key=lambda s: score(architecture, finals[s], validation, 0.6)[1])
    card = training_card(architecture, finals, chosen, scores, parts, args)
    package = make_package(architecture, finals[chosen], parts, reference, card)
    target = SHIPPED / f"{package.name}.qmdp"
    digest = save(target, package, jax_evaluation(package))
    print(json.dumps(card["errors"], indent=2))
    print(f"{target} {digest}")


def training_card(architecture, finals, chosen, scores, parts, args):
    """What was done, with the errors on every part."""
    label_card = json.loads((LABELS.parent / "card.json").read_text())
    seconds = [float(np.load(p)["seconds"]) for p in sorted((HERE / "output").glob("*.npz"))]
    errors = {
        name: {
            "below_0.6_eV": {
                "frames": int((part.energies < 0.6).sum()),
                **score(architecture, finals[chosen], part, 0.6)._asdict(),
            },
            "all": {
                "frames": len(part.energies),
                **score(architecture, finals[chosen], part)._asdict(),
            },
        }
        for name, part in zip(("train", "validation", "test"), parts, strict=True)
    }
    return {
        "level_of_theory": label_card["level_of_theory"],
        "labels": "runs/labels-h2o/h2o.npz",
        "labels_sha256": hashlib.sha256(LABELS.read_bytes()).hexdigest(),
        "split_seed": SPLIT_SEED,
        "loss": "10 /angstrom (E - E_ref) and internal force components, both times "
        "1 / (1 + (E_ref / 0.5 eV)^2)",
        "optimiser": "trust-region least squares (scipy), exact Jacobian",
        "evaluations": {"start": args.short, "final": args.long},
        "starts_validation_forces_meV_per_A": {
            str(seed): round(s.forces_rmse_meV_per_A, 2) for seed, s in scores.items()
        },
        "chosen_start": chosen,
        "seconds_in_all": round(sum(seconds)),
        "errors": errors,
        "versions": {"jax": jax.__version__, "scipy": scipy.__version__},
        "made_by": "python runs/train-h2o/train.py",
    }


def make_package(architecture, parameters, parts, reference, card):
    """The package sivqlm-h2o; its domain is the range of distances in the labels."""
    positions = np.concatenate([part.positions for part in parts])
    pairs = np.array([(0, 1), (0, 2), (1, 2)])
    distances = np.linalg.norm(positions[:, pairs[:, 0]] - positions[:, pairs[:, 1]], axis=2)
    distances[:, :2] = np.sort(distances[:, :2], axis=1)  # the hydrogens are alike
    low, high = distances.min(axis=0), distances.max(axis=0)
    warn = np.array([(low[:2].min(), high[:2].max())] * 2 + [(low[2], high[2])])
    margin = STOP_MARGIN * (warn[:, 1] - warn[:, 0])
    return Package(
        name="sivqlm-h2o",
        description="one water molecule, exact symmetry, RPBE-D3(0)/def2-TZVPD",
        species=("O", "H", "H"),
        architecture=architecture,
        parameters=parameters,
        reference_energy_eV=reference,
        domain=Domain(pairs, warn, warn + np.stack([-margin, margin], axis=1)),
        training=card,
        citation="Le et al., New J. Phys. 27, 023015 (2025), arXiv:2311.11362",
        licence="CC0-1.0",
        test_positions=parts[2].positions[:5],
    )


def jax_evaluation(package):
    """Energies and forces by JAX, which the native kernel will be held to at each load."""
    function = compiled(package.potential())
    return lambda x: tuple(np.asarray(part) for part in function(x))


if __name__ == "__main__":
    main()
