"""Fit two Morse bonds and a harmonic bend to the labels of water, with the loss of `sivqlm-h2o`.

    python runs/train-h2o-peers/morse_bend.py

Five numbers and an offset, on the training frames of `runs/train-h2o/train.yaml`. Writes
`morse-bend.yaml`: what stands behind `potential:` in an input.
"""

import json
from pathlib import Path

import numpy as np
from scipy.optimize import least_squares

from qmd.config import load as inputs
from qmd.train import data as train_data
from qmd.train.config import TrainConfig
from qmd.train.stages import as_loss

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parent / "train-h2o" / "train.yaml"
START = 5.0, 2.2, 0.97, 4.0, np.deg2rad(104.0), 0.0
"""eV, 1/angstrom, angstrom, eV/rad^2, rad, eV"""


def energies_and_forces(numbers, positions):
    """Energies (n,) and forces (n, 3, 3) of Morse bonds and a bend, atom order O H H."""
    depth, steepness, length, stiffness, angle, offset = numbers
    a, b = positions[:, 1] - positions[:, 0], positions[:, 2] - positions[:, 0]
    ra, rb = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
    ea, eb = a / ra[:, None], b / rb[:, None]
    cosine = np.einsum("fx,fx->f", ea, eb)
    theta = np.arccos(cosine)
    gone_a, gone_b = (np.exp(-steepness * (r - length)) for r in (ra, rb))
    energy = depth * ((1 - gone_a) ** 2 + (1 - gone_b) ** 2) + stiffness / 2 * (theta - angle) ** 2
    pull_a, pull_b = (2 * depth * steepness * (1 - g) * g for g in (gone_a, gone_b))
    torque = stiffness * (theta - angle) / np.sin(theta)
    slope_a = pull_a[:, None] * ea - (torque / ra)[:, None] * (eb - cosine[:, None] * ea)
    slope_b = pull_b[:, None] * eb - (torque / rb)[:, None] * (ea - cosine[:, None] * eb)
    return energy + offset, np.stack([slope_a + slope_b, -slope_a, -slope_b], axis=1)


def main():
    config = inputs.load(SOURCE, TrainConfig).config
    species = config.model.traits(SOURCE.parent).species
    frames = train_data.load(config, SOURCE.parent, species).train
    loss = as_loss(config.loss)
    weights = np.sqrt(loss.frame_weights(frames.energies))

    def residuals(numbers):
        energies, forces = energies_and_forces(numbers, frames.positions)
        of_energies = loss.energy_weight * weights * (energies - frames.energies)
        of_forces = weights[:, None, None] * (forces - frames.forces)
        return np.concatenate([of_energies, of_forces.ravel()])

    numbers = least_squares(residuals, START, x_scale="jac").x
    depth, steepness, length, stiffness, angle, _ = (float(f"{x:.6g}") for x in numbers)
    bonds = {"kind": "morse", "bonds": [[0, 1], [0, 2]], "depth_eV": depth,
             "steepness_per_A": steepness, "length_A": length}  # fmt: skip
    bend = {"kind": "harmonic_angle", "angles": [[1, 0, 2]], "stiffness_eV_per_rad2": stiffness,
            "angle_deg": float(f"{np.rad2deg(angle):.6g}")}  # fmt: skip
    terms = "".join(f"  - {json.dumps(term)}\n" for term in (bonds, bend))
    text = f"# Written by morse_bend.py.\nkind: sum\nterms:\n{terms}"
    (HERE / "morse-bend.yaml").write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
