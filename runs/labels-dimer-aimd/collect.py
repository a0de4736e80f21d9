"""Labels of a stretch of DFT dynamics of the water dimer: every step of a reference trajectory.

    python runs/labels-dimer-aimd/collect.py

The trajectory is that of `runs/reference/h2o-dimer`.
"""

import argparse
import json
from pathlib import Path

import numpy as np

import qmd

HERE = Path(__file__).parent
REFERENCE = HERE.parent / "reference" / "h2o-dimer"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=800, help="the first N")
    args = parser.parse_args()
    universe = qmd.load(REFERENCE)
    log = np.loadtxt(REFERENCE / "log.csv", delimiter=",", skiprows=1)
    record = json.loads((REFERENCE / "run.json").read_text())
    steps = universe.trajectory[: args.steps]
    if len(steps) < args.steps:
        raise SystemExit(f"{REFERENCE} has {len(steps)} steps of {args.steps}")
    frames = [(ts.positions.astype(float), forces(ts)) for ts in steps]
    positions, slopes = map(np.array, zip(*frames, strict=True))
    numbers = np.array([8, 1, 1, 8, 1, 1])
    np.savez_compressed(
        HERE / "dimer.npz", Z=numbers, R=positions, E=log[: args.steps, 2], F=slopes
    )
    card = {
        "system": "(H2O)2, atom order O H H O H H",
        "arrays": {"R": "angstrom, (n, 6, 3)", "E, F": "eV and eV/angstrom"},
        "frames": args.steps,
        "potential": record["input"]["potential"],
        "integrator": record["input"]["integrator"],
        "start": record["input"]["system"],
        "versions": record["versions"],
        "made_by": "python runs/labels-dimer-aimd/collect.py",
        "licence": "CC0-1.0",
    }
    (HERE / "card.json").write_text(json.dumps(card, indent=2) + "\n")


def forces(frame):
    """eV/angstrom; MDAnalysis has kJ/mol/angstrom."""
    return frame.forces.astype(float) * qmd.units.kcal_per_mol / 4.184


if __name__ == "__main__":
    main()
