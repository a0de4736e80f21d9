"""DFT labels of the water monomer: RPBE-D3(0)/def2-TZVPD energies and forces.

    python runs/labels-h2o/label.py --workers 2
    python runs/labels-h2o/label.py --test

Geometries come from one seeded stream: thermal samples of a Morse + harmonic bend surface
at 300, 600 and 1200 K, stretched and compressed OH bonds (0.75 to 1.5 angstrom), and bent
molecules. They are labelled in a shuffled order and saved as they come, so that a run that
is stopped is resumed by the same command and a partial file is a fair sample.

`--test` draws others in the same way, `test.npz`, which no training sees: for comparisons.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from qmd.forces.dft import DFT
from qmd.label import frames as label_frames

HERE = Path(__file__).parent
NUMBERS = np.array([8, 1, 1])
METHOD = DFT()
KB_EV_PER_K = 8.617333262e-5
# Morse OH and harmonic bend of flexible SPC type: (eV, 1/angstrom, angstrom, eV/rad^2, rad).
DEPTH, STIFFNESS, R0, BEND, THETA0 = 5.0341, 2.287, 0.975, 3.8095, np.deg2rad(104.0)
SEED, TEST_SEED, TEST_FRAMES = 20, 120, 125
GROUPS = {"300K": 300, "600K": 300, "1200K": 400, "stretched": 280, "bent": 120}


def surrogate_energy(q):
    """Morse + bend energy (eV) of internal coordinates (r1, r2, theta)."""
    morse = DEPTH * (1 - np.exp(-STIFFNESS * (q[:2] - R0))) ** 2
    return morse.sum() + BEND / 2 * (q[2] - THETA0) ** 2


def log_weight(q, temperature):
    """log of r1^2 r2^2 sin(theta) exp(-U/kT): the density of internal coordinates."""
    if not (q[:2].min() > 0.5 and 0 < q[2] < np.pi):
        return -np.inf
    jacobian = 2 * np.log(q[0]) + 2 * np.log(q[1]) + np.log(np.sin(q[2]))
    return jacobian - surrogate_energy(q) / (KB_EV_PER_K * temperature)


def thermal(rng, n, temperature):
    """n nearly independent Metropolis samples of (r1, r2, theta) at a temperature (K)."""
    scale = np.sqrt(temperature / 300) * np.array([0.06, 0.06, 0.12])
    q, lw, samples = np.array([R0, R0, THETA0]), -np.inf, []
    for i in range(200 + 50 * n):
        trial = q + scale * rng.standard_normal(3)
        lw_trial = log_weight(trial, temperature)
        if np.log(rng.random()) < lw_trial - lw:
            q, lw = trial, lw_trial
        if i >= 200 and i % 50 == 0:
            samples.append(q)
    return np.array(samples)


def internal_coordinates(seed):
    """All (r1, r2, theta) and the name of the group each belongs to, in a shuffled order."""
    rng = np.random.default_rng(seed)
    parts = {f"{t}K": thermal(rng, GROUPS[f"{t}K"], t) for t in (300, 600, 1200)}
    n = GROUPS["stretched"]  # half of them with one bond near its minimum
    r = rng.uniform(0.75, 1.5, (n, 2))
    r[: n // 2, 1] = rng.normal(R0, 0.04, n // 2)
    parts["stretched"] = np.column_stack([r, np.deg2rad(rng.uniform(80, 135, n))])
    n = GROUPS["bent"]
    r = thermal(rng, n, 600)[:, :2]
    parts["bent"] = np.column_stack([r, np.deg2rad(rng.uniform(65, 165, n))])
    q = np.concatenate(list(parts.values()))
    group = np.repeat(list(parts), [len(p) for p in parts.values()])
    order = rng.permutation(len(q))
    return q[order], group[order]


def cartesian(q):
    """Positions (angstrom), shape (3, 3), order O H H, of one (r1, r2, theta)."""
    half = q[2] / 2
    h1 = q[0] * np.array([np.sin(half), np.cos(half), 0.0])
    h2 = q[1] * np.array([-np.sin(half), np.cos(half), 0.0])
    return np.array([np.zeros(3), h1, h2])


def label(positions):
    """Energy (eV) and forces (eV/angstrom) of one geometry."""
    energy, forces, _ = METHOD.energy_and_forces(NUMBERS, positions)
    return {"E": np.array(energy), "F": forces}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=1, help="processes, one core each")
    parser.add_argument("--test", action="store_true", help="the frames that no training sees")
    parser.add_argument("--limit", type=int, default=None, help="label only the first N")
    args = parser.parse_args()
    seed, name = (TEST_SEED, "test.npz") if args.test else (SEED, "h2o.npz")
    limit = TEST_FRAMES if args.test else args.limit
    q, group = internal_coordinates(seed)
    positions = np.array([cartesian(row) for row in q])[:limit]
    path, per_frame = HERE / name, {"group": group[:limit]}
    label_frames.label_frames(
        label, positions, path, {"Z": NUMBERS}, per_frame, workers=args.workers
    )
    if not args.test:
        write_card(path)


def write_card(path):
    """The level of theory, versions and counts beside the labels."""
    import dftd3
    import pyscf

    data = np.load(path)
    names, counts = np.unique(data["group"], return_counts=True)
    card = {
        "system": "H2O, atom order O H H",
        "level_of_theory": METHOD.level_of_theory,
        "scf_convergence_Ha": METHOD.convergence_Ha,
        "grid_level": METHOD.grid_level,
        "grid_response_in_gradient": True,
        "units": {"R": "angstrom", "E": "eV", "F": "eV/angstrom"},
        "frames": len(data["E"]),
        "groups": dict(zip(names.tolist(), counts.tolist(), strict=True)),
        "energy_min_eV": float(data["E"].min()),
        "energy_max_eV": float(data["E"].max()),
        "largest_net_force_eV_per_A": float(np.abs(data["F"].sum(1)).max()),
        "versions": {"pyscf": pyscf.__version__, "dftd3": dftd3.__version__},
        "made_by": "python runs/labels-h2o/label.py",
        "licence": "CC0-1.0",
    }
    (HERE / "card.json").write_text(json.dumps(card, indent=2) + "\n")


if __name__ == "__main__":
    main()
