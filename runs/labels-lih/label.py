"""FCI/STO-3G labels of LiH: 134 bond lengths from 0.9 to 4.5 angstrom.

    python runs/labels-lih/label.py --workers 2

The curve of Le et al., New J. Phys. 27, 023015 (2025). Frames are saved as they come: a run that
is stopped is resumed by the same command.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from qmd.forces.fci import FCI
from qmd.label import frames as label_frames

HERE = Path(__file__).parent
NUMBERS = np.array([3, 1])
METHOD = FCI()
R_MIN, R_MAX, N_FRAMES = 0.9, 4.5, 134
"""Bond lengths, angstrom, evenly spaced with both ends."""
STEP = 2e-4
"""Step (angstrom) of the central differences that check the forces."""


def geometry(r):
    """Positions (angstrom), shape (2, 3), order Li H."""
    return np.array([[0, 0, 0], [0, 0, r]])


def label(positions):
    """Energy (eV) and forces (eV/angstrom) of one geometry."""
    energy, forces = METHOD.energy_and_forces(NUMBERS, positions)
    return {"E": np.array(energy), "F": forces}


def force_error(positions, forces):
    """Largest difference (eV/angstrom) from differences of the energy, on every tenth frame."""
    shift = np.array([[0, 0, 0], [0, 0, STEP]])
    errors = [
        (label(x - shift)["E"] - label(x + shift)["E"]) / (2 * STEP) - f[1, 2]
        for x, f in zip(positions[::10], forces[::10], strict=True)
    ]
    return float(np.abs(errors).max())


def card(path):
    """Level of theory, units, checks and versions."""
    import pyscf

    data = np.load(path)
    return {
        "system": "LiH, atom order Li H, Li at the origin, H on the z axis",
        "level_of_theory": METHOD.level_of_theory,
        "convergence_Ha": METHOD.convergence_Ha,
        "forces": "analytic",
        "units": {"R": "angstrom", "E": "eV", "F": "eV/angstrom"},
        "frames": len(data["E"]),
        "bond_length_A": [R_MIN, R_MAX],
        "energy_min_eV": float(data["E"].min()),
        "energy_max_eV": float(data["E"].max()),
        "difference_step_A": STEP,
        "largest_force_minus_difference_eV_per_A": force_error(data["R"], data["F"]),
        "versions": {"pyscf": pyscf.__version__},
        "made_by": "python runs/labels-lih/label.py",
        "licence": "CC0-1.0",
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=1, help="processes, one core each")
    args = parser.parse_args()
    positions = np.array([geometry(r) for r in np.linspace(R_MIN, R_MAX, N_FRAMES)])
    path = HERE / "lih.npz"
    label_frames.label_frames(label, positions, path, {"Z": NUMBERS}, {}, workers=args.workers)
    (HERE / "card.json").write_text(json.dumps(card(path), indent=2) + "\n")


if __name__ == "__main__":
    main()
