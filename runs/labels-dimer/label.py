"""DFT labels of the water dimer and of its molecules: RPBE-D3(0)/def2-TZVPD.

    python runs/labels-dimer/label.py --workers 2
    python runs/labels-dimer/label.py --contacts

Geometries come from one seeded stream. Half are Metropolis samples of a classical water model
(flexible, charges and Lennard-Jones) in a sphere at 300, 600 and 1000 K: bound pairs, in all the
ways a hydrogen bond bends and breaks. Half have any orientation, at O-O distances spread over 2.3
to 7 angstrom, with molecules distorted thermally at up to 1000 K; of those only clashes are left
out. They are labelled in a shuffled order and saved as they come: a run that is stopped is resumed
by the same command, and a partial file is a fair sample.

`--contacts` makes others, in `contacts.npz`: any orientation at short O-O distances, where energies
are steep and the first ones few; the second part of them goes closer than all others do, so that no
frame of the first file is at the edge of what a training has seen.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from qmd.forces.dft import DFT, joined
from qmd.label import frames as label_frames

HERE = Path(__file__).parent
NUMBERS = np.array([8, 1, 1, 8, 1, 1])
METHOD = DFT()
KB_EV_PER_K = 8.617333262e-5
CHARGES = np.array([-0.82, 0.41, 0.41])  # e, SPC
COULOMB_EV_A = 14.3996  # e^2 / (4 pi eps_0)
LJ_EPSILON_EV, LJ_SIGMA_A = 0.00674, 3.166  # O-O, SPC
# Morse O-H and harmonic bend, as for the monomer labels.
DEPTH, STIFFNESS, R0, BEND, THETA0 = 5.0341, 2.287, 0.975, 3.8095, np.deg2rad(104.0)
R_MIN, R_MAX = 2.3, 7.0
"""O-O distances, angstrom."""
GROUPS = {"300K": 300, "600K": 400, "1000K": 300, "any": 1000}
CLASHES = {"HH": 1.5, "OH": 1.45}
"""Closest intermolecular distances, angstrom, of the group `any`."""
CONTACTS = {"contact": 290, "closer": 400}
CONTACT_RANGE, CLOSER_RANGE = (2.3, 3.3), (2.1, 2.95)
"""O-O distances, angstrom."""
CLOSER_CLASHES = {"HH": 1.35, "OH": 1.35}
STEEPEST = 1.0
"""Largest interaction of a contact in the classical model, eV: what is far up no run ever sees."""


def molecule_energy(x):
    """Morse + bend energy (eV) of one molecule."""
    a, b = x[1] - x[0], x[2] - x[0]
    lengths = np.linalg.norm(a), np.linalg.norm(b)
    angle = np.arccos(np.clip(a @ b / lengths[0] / lengths[1], -1, 1))
    morse = sum(DEPTH * (1 - np.exp(-STIFFNESS * (r - R0))) ** 2 for r in lengths)
    return morse + BEND / 2 * (angle - THETA0) ** 2


def pair_energy(x):
    """Charges and Lennard-Jones (eV) between two molecules."""
    distances = np.linalg.norm(x[:3, None] - x[None, 3:], axis=2)
    s6 = (LJ_SIGMA_A / distances[0, 0]) ** 6
    charges = COULOMB_EV_A * np.outer(CHARGES, CHARGES) / distances
    return 4 * LJ_EPSILON_EV * (s6**2 - s6) + charges.sum()


def surrogate_energy(x):
    return molecule_energy(x[:3]) + molecule_energy(x[3:]) + pair_energy(x)


def oo_distance(x):
    return np.linalg.norm(x[0] - x[3])


def rotation(rng):
    """A random rotation, uniform."""
    q, r = np.linalg.qr(rng.standard_normal((3, 3)))
    q = q * np.sign(np.diag(r))
    return q * np.linalg.det(q)


def molecule():
    """A molecule at the minimum, O at the origin."""
    half = THETA0 / 2
    sine, cosine = R0 * np.sin(half), R0 * np.cos(half)
    return np.array([[0, 0, 0], [sine, cosine, 0], [-sine, cosine, 0.0]])


def metropolis(rng, energy, x, temperature, steps, size):
    """Metropolis walk with single-atom and rigid moves; yields every state."""
    kT, e = KB_EV_PER_K * temperature, energy(x)
    for _ in range(steps):
        trial = x.copy()
        if rng.random() < 0.6:
            trial[rng.integers(len(x))] += size * rng.standard_normal(3)
        else:  # move and turn the last molecule
            origin = trial[-3].copy()
            turned = (trial[-3:] - origin) @ small_rotation(rng, 5 * size).T
            trial[-3:] = turned + origin + 4 * size * rng.standard_normal(3)
        e_trial = energy(trial)
        if np.log(rng.random()) < -(e_trial - e) / kT:
            x, e = trial, e_trial
        yield x


def small_rotation(rng, size):
    """Rotation by a normal angle of width `size` (rad) about a random axis."""
    axis = rng.standard_normal(3)
    x, y, z = axis / np.linalg.norm(axis)
    angle = size * rng.standard_normal()
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * k @ k


def thermal_pairs(rng, n, temperature):
    """Pairs of the classical model in a sphere, 400 moves apart."""

    def energy(x):
        return surrogate_energy(x) if R_MIN <= oo_distance(x) <= R_MAX else np.inf

    second = molecule() @ rotation(rng).T + [3.0, 0, 0]
    walk = metropolis(
        rng, energy, np.concatenate([molecule(), second]), temperature, 400 * (n + 10), 0.05
    )
    samples = [x for i, x in enumerate(walk) if i % 400 == 399]
    return np.array(samples[10:])


def thermal_molecules(rng, n):
    """Molecules distorted at temperatures up to 1000 K, in any orientation."""
    molecules = []
    for _ in range(n):
        walk = metropolis(rng, molecule_energy, molecule(), rng.uniform(100, 1000), 300, 0.04)
        *_, x = walk
        molecules.append((x - x[0]) @ rotation(rng).T)
    return molecules


def any_pairs(rng, n, r_range=(R_MIN, R_MAX), power=1.6, clashes=CLASHES):
    """Any orientation, O-O distances denser where the interaction is strong; no clashes."""
    pairs = []
    while len(pairs) < n:
        first, second = thermal_molecules(rng, 2)
        for _ in range(20):
            r = r_range[0] + (r_range[1] - r_range[0]) * rng.random() ** power
            axis = rng.standard_normal(3)
            x = np.concatenate([first, second @ rotation(rng).T + r * axis / np.linalg.norm(axis)])
            d = np.linalg.norm(x[:3, None] - x[None, 3:], axis=2)
            if (
                d[1:, 1:].min() > clashes["HH"]
                and min(d[0, 1:].min(), d[1:, 0].min()) > clashes["OH"]
            ):
                pairs.append(x)
                break
    return np.array(pairs)


def geometries(seed):
    """All positions (n, 6, 3), order O H H O H H, and the group of each, shuffled."""
    rng = np.random.default_rng(seed)
    parts = {f"{t}K": thermal_pairs(rng, GROUPS[f"{t}K"], t) for t in (300, 600, 1000)}
    parts["any"] = any_pairs(rng, GROUPS["any"])
    group = np.repeat(list(parts), [len(p) for p in parts.values()])
    order = rng.permutation(len(group))
    return np.concatenate(list(parts.values()))[order], group[order]


def contacts(seed):
    """Positions (n, 6, 3) at short O-O distances, evenly spread, and the group of each."""
    rng, closer = np.random.default_rng(seed), np.random.default_rng(seed + 1)
    first = any_pairs(rng, CONTACTS["contact"], CONTACT_RANGE, 1.0)
    second = any_pairs(closer, 2 * CONTACTS["closer"], CLOSER_RANGE, 1.0, CLOSER_CLASHES)
    second = [x for x in second if pair_energy(x) < STEEPEST][: CONTACTS["closer"]]
    return np.concatenate([first, second]), np.repeat(list(CONTACTS), list(CONTACTS.values()))


def label(positions):
    """Dimer (E, F), its molecules in their own basis (E1, F1), and the difference (E2, F2)."""
    first, second = (METHOD.energy_and_forces(NUMBERS[:3], x) for x in np.split(positions, 2))
    guess = joined(first[2], second[2])
    energy, forces, _ = METHOD.energy_and_forces(NUMBERS, positions, guess)
    alone = np.concatenate([first[1], second[1]])
    return {
        "E": np.array(energy),
        "F": forces,
        "E1": np.array([first[0], second[0]]),
        "F1": alone,
        "E2": np.array(energy - first[0] - second[0]),
        "F2": forces - alone,
    }


def card(path, planned):
    """Level of theory, versions and counts."""
    import dftd3
    import pyscf

    data = np.load(path)
    names, counts = np.unique(data["group"], return_counts=True)
    return {
        "system": "(H2O)2, atom order O H H O H H",
        "level_of_theory": METHOD.level_of_theory,
        "arrays": {
            "R": "angstrom, (n, 6, 3)",
            "E, F": "eV and eV/angstrom, dimer",
            "E1, F1": "eV, (n, 2), and eV/angstrom, (n, 6, 3): both molecules, own basis",
            "E2, F2": "eV and eV/angstrom: interaction, E less the sum of E1, F less F1",
        },
        "frames": len(data["E"]),
        "frames_planned": planned,
        "groups": dict(zip(names.tolist(), counts.tolist(), strict=True)),
        "interaction_eV": [float(data["E2"].min()), float(data["E2"].max())],
        "versions": {"pyscf": pyscf.__version__, "dftd3": dftd3.__version__},
        "made_by": "python runs/labels-dimer/label.py",
        "licence": "CC0-1.0",
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=1, help="processes, one core each")
    parser.add_argument("--limit", type=int, default=None, help="label only the first N")
    parser.add_argument("--contacts", action="store_true", help="only at short O-O distances")
    args = parser.parse_args()
    if args.contacts:
        (positions, group), path = contacts(seed=22), HERE / "contacts.npz"
    else:
        (positions, group), path = geometries(seed=21), HERE / "dimer.npz"
    per_frame = {"group": group[: args.limit]}

    def log(text):
        name = "card.json" if path.stem == "dimer" else f"{path.stem}.json"
        (HERE / name).write_text(json.dumps(card(path, len(positions)), indent=2) + "\n")
        print(text, flush=True)

    label_frames.label_frames(
        label,
        positions[: args.limit],
        path,
        {"Z": NUMBERS},
        per_frame,
        workers=args.workers,
        save_every=10,
        log=log,
    )


if __name__ == "__main__":
    main()
