"""DFT labels of a water dimer in which one hydrogen moves along a line.

    python runs/labels-dimer-line/label.py

The hydrogen of the hydrogen bond goes from its oxygen, 0.75 angstrom away, towards the oxygen of
the other molecule, until it is 1.3 angstrom from that; all other atoms stay. RPBE-D3(0)/def2-TZVPD,
evenly spaced, in that order; saved as they come, and resumed by the same command.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from qmd.forces.dft import DFT
from qmd.io.structure import BUILT_IN
from qmd.label import frames as label_frames

HERE = Path(__file__).parent
NUMBERS = np.array([8, 1, 1, 8, 1, 1])
METHOD = DFT()
DONOR, MOVED, ACCEPTOR = 0, 2, 3
FIRST, LAST, N = 0.75, 1.7, 121
"""O-H distances, angstrom, and how many."""


def geometries():
    """Positions (N, 6, 3)."""
    start = np.array(BUILT_IN["h2o-dimer"][1])
    along = start[ACCEPTOR] - start[DONOR]
    along /= np.linalg.norm(along)
    frames = np.repeat(start[None], N, axis=0)
    frames[:, MOVED] = start[DONOR] + np.linspace(FIRST, LAST, N)[:, None] * along
    return frames


def label(positions):
    energy, forces, _ = METHOD.energy_and_forces(NUMBERS, positions)
    return {"E": np.array(energy), "F": forces}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=1, help="processes, one core each")
    args = parser.parse_args()
    path = HERE / "dimer.npz"
    n = label_frames.label_frames(
        label, geometries(), path, {"Z": NUMBERS}, {}, workers=args.workers
    )
    card = {
        "system": "(H2O)2, atom order O H H O H H",
        "level_of_theory": METHOD.level_of_theory,
        "arrays": {"R": "angstrom, (n, 6, 3)", "E, F": "eV and eV/angstrom"},
        "frames": n,
        "O-H distances_angstrom": [FIRST, LAST],
        "made_by": "python runs/labels-dimer-line/label.py",
        "licence": "CC0-1.0",
    }
    (HERE / "card.json").write_text(json.dumps(card, indent=2) + "\n")


if __name__ == "__main__":
    main()
