"""The picture of the README: water moving on the surface of a trained circuit.

    python docs/picture.py

Runs runs/water-nve/input.yaml for half a picosecond with every step in the trajectory, and draws
the path of the two O-H bonds on the potential, and the energies. Needs the extra `train`.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import qmd
from qmd.potentials import evaluate, find, load
from qmd.run import session
from qmd.run.config import load_config

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs" / "images" / "water.png"
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#555555"  # colour-blind safe (Okabe and Ito)


def run(folder):
    """Half a picosecond from 1000 K with a frame each step."""
    loaded = load_config(
        ROOT / "runs" / "water-nve" / "input.yaml",
        ["steps=1000", "system.temperature_K=1000", "output.trajectory_every=1"],
    )
    session.run(loaded, folder)
    return qmd.load(folder)


def surface(angle, r):
    """Energies (eV) over the two bond lengths at a fixed angle (rad)."""
    kernel = load(find("sivqlm-h2o")).native()
    direction = np.array([np.cos(angle), np.sin(angle), 0.0])

    def energy(a, b):
        return evaluate(kernel, np.array([[0, 0, 0], [a, 0, 0], b * direction]))[0]

    return np.array([[energy(a, b) for a in r] for b in r])


def bonds(universe):
    """Both bond lengths (angstrom) and the mean angle (rad) along the trajectory."""
    x = np.array([ts.positions.copy() for ts in universe.trajectory])
    a, b = x[:, 1] - x[:, 0], x[:, 2] - x[:, 0]
    la, lb = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
    return la, lb, np.arccos((a * b).sum(axis=1) / la / lb).mean()


def main():
    with tempfile.TemporaryDirectory() as folder:
        universe = run(Path(folder))
        la, lb, angle = bonds(universe)
        rows = [
            (ts.time, ts.data["potential_energy_eV"], ts.data["kinetic_energy_eV"])
            for ts in universe.trajectory
        ]
        time, potential, kinetic = np.array(rows).T
    r = np.linspace(0.85, 1.2, 80)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), width_ratios=(1, 1.3))
    levels = np.arange(0, 1.01, 0.05)
    filled = left.contourf(r, r, surface(angle, r), levels, cmap="Greys", extend="max")
    left.plot(la, lb, color=ORANGE, lw=0.6)
    left.set(xlabel="O-H1 (angstrom)", ylabel="O-H2 (angstrom)", aspect="equal")
    left.set_title("potential of a 4-qubit circuit, 0.5 ps on it", fontsize=10)
    figure.colorbar(filled, ax=left, label="eV", ticks=[0, 0.25, 0.5, 0.75, 1])
    right.plot(time, potential, color=BLUE, lw=0.8, label="potential")
    right.plot(time, kinetic, color=ORANGE, lw=0.8, label="kinetic")
    right.plot(time, potential + kinetic, color=GREY, lw=1.6, label="total")
    right.set(xlabel="time (ps)", ylabel="energy (eV)", xlim=(0, 0.2))
    right.set_title("velocity Verlet, 0.5 fs, start at 1000 K", fontsize=10)
    right.legend(loc="upper right", ncols=3, fontsize=8)
    right.set_ylim(0, 1.25 * (potential + kinetic).max())
    figure.tight_layout()
    figure.savefig(TARGET, dpi=150, metadata={"Software": None})
    print(TARGET)


if __name__ == "__main__":
    main()
