"""DFT labels of the water monomer: RPBE-D3(0)/def2-TZVPD energies and forces.

    python runs/labels-h2o/label.py --workers 2

Geometries come from one seeded stream: thermal samples of a Morse + harmonic bend surface
at 300, 600 and 1200 K, stretched and compressed OH bonds (0.75 to 1.5 angstrom), and bent
molecules. They are labelled in a shuffled order and saved as they come, so that a run that
is stopped is resumed by the same command and a partial file is a fair sample.
"""

import argparse
import json
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one core per worker; PySCF is imported later

HERE = Path(__file__).parent
SYMBOLS = ("O", "H", "H")
NUMBERS = np.array([8, 1, 1])
BASIS, XC, GRID_LEVEL, CONV_TOL_HA = "def2-tzvpd", "rpbe,pbe", 3, 1e-10
HARTREE_EV, BOHR_ANGSTROM = 27.211386245988, 0.529177210903  # CODATA 2018
KB_EV_PER_K = 8.617333262e-5
# Morse OH and harmonic bend of flexible SPC type: (eV, 1/angstrom, angstrom, eV/rad^2, rad).
DEPTH, STIFFNESS, R0, BEND, THETA0 = 5.0341, 2.287, 0.975, 3.8095, np.deg2rad(104.0)
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
    """RPBE-D3(0)/def2-TZVPD energy (eV) and forces (eV/angstrom) of one geometry."""
    from dftd3.interface import DispersionModel, ZeroDampingParam
    from pyscf import dft, gto

    atoms = list(zip(SYMBOLS, positions, strict=True))
    mol = gto.M(atom=atoms, basis=BASIS, unit="Angstrom", verbose=0)
    mf = dft.RKS(mol).density_fit()
    mf.xc, mf.grids.level, mf.conv_tol = XC, GRID_LEVEL, CONV_TOL_HA
    energy = mf.kernel()
    if not mf.converged:
        raise RuntimeError(f"SCF did not converge for positions {positions.tolist()}")
    gradient = mf.nuc_grad_method()
    gradient.grid_response = True  # without it the forces do not sum to zero
    dispersion = DispersionModel(NUMBERS, positions / BOHR_ANGSTROM).get_dispersion(
        ZeroDampingParam(method="rpbe"), grad=True
    )
    energy_ha = energy + dispersion["energy"]
    forces_ha = -(gradient.kernel() + dispersion["gradient"])
    return energy_ha * HARTREE_EV, forces_ha * HARTREE_EV / BOHR_ANGSTROM


def save(path, arrays):
    """Write the .npz beside its final name and rename it: never a torn file."""
    temporary = path.with_suffix(".tmp.npz")
    np.savez_compressed(temporary, **arrays)
    os.replace(temporary, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=1, help="processes, one core each")
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--limit", type=int, default=None, help="label only the first N")
    args = parser.parse_args()
    path = HERE / "h2o.npz"
    q, group = internal_coordinates(args.seed)
    positions = np.array([cartesian(row) for row in q])[: args.limit]
    done = dict(np.load(path)) if path.is_file() else None
    n = 0 if done is None else len(done["E"])
    if done is not None and not np.array_equal(done["R"], positions[:n]):
        raise SystemExit(f"{path} holds other geometries; move it away to start again")
    energies = [] if done is None else list(done["E"])
    forces = [] if done is None else list(done["F"])
    with ProcessPoolExecutor(args.workers, mp_context=get_context("spawn")) as pool:
        for energy, force in pool.map(label, positions[n:]):
            energies.append(energy)
            forces.append(force)
            n = len(energies)
            if n % 25 == 0 or n == len(positions):
                save(
                    path,
                    {
                        "Z": NUMBERS,
                        "R": positions[:n],
                        "E": np.array(energies),
                        "F": np.array(forces),
                        "group": group[:n],
                    },
                )
                print(f"{n} of {len(positions)} labelled", flush=True)
    write_card(path)


def write_card(path):
    """The level of theory, versions and counts beside the labels."""
    import dftd3
    import pyscf

    data = np.load(path)
    names, counts = np.unique(data["group"], return_counts=True)
    card = {
        "system": "H2O, atom order O H H",
        "level_of_theory": "RPBE-D3(0)/def2-TZVPD, density fitting, restricted Kohn-Sham",
        "scf_convergence_Ha": CONV_TOL_HA,
        "grid_level": GRID_LEVEL,
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
