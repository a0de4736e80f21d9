"""Linear ACE on the frames of study.py, by `ace-jax`: the linear twin of the learning curve.

It runs in an environment of its own (``pip install ace-jax==0.4.1``), so that it imports nothing of
qmd:

    python ace.py DATA.npz study/ace --results ace.json

The frames are those that train.yaml fits: the first of the training frames, in the order of its
split. `aj fit` builds the basis and chooses the noise of energies and forces and the prior by the
evidence. Errors are those of all frames of the other stretch. The same command goes on where it was
stopped.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
import numpy as np

FRAMES = 10, 20, 40, 80, None
DISTANCE_A = 1.5
"""Distance that the radial functions resolve best: between a bond and a hydrogen bond."""
TRAIN, SEED = 0.93, 1
"""Share of the training frames, and seed, of the split in train.yaml."""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--frames", type=int, nargs="*", help="0: all; default: all numbers")
    parser.add_argument("--tested", type=int, nargs="*", default=[1, 0])
    parser.add_argument("--order", type=int, default=3)
    parser.add_argument("--degree", type=int, default=8)
    parser.add_argument("--cutoff", type=float, default=5.0)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    results = json.loads(options.results.read_text()) if options.results.exists() else {}
    data = dict(np.load(options.data))
    for tested in options.tested:
        for n in FRAMES if options.frames is None else [n or None for n in options.frames]:
            row = "ace-all" if n is None else f"ace-{n}"
            name = f"{row}-tested-{tested}-seed-0"
            if name not in results:
                results[name] = fitted(options, data, tested, n) | {"fitted_frames": n}
                options.results.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
            print(name, results[name], flush=True)


def fitted(options, data, tested, n):
    """Fit and judge one; return its errors."""
    others, test = (np.flatnonzero((data["stretch"] == tested) == is_test) for is_test in (0, 1))
    order = np.random.default_rng(SEED).permutation(len(others))
    train = others[order[: int(TRAIN * len(others))]][:n]
    here = options.folder / f"{tested}-{n or 'all'}"
    here.mkdir(exist_ok=True)
    write(here / "train.extxyz", data, train)
    n_parameters = write_basis(here / "basis.npz", options)
    begin = time.perf_counter()
    subprocess.run(
        [
            Path(sys.executable).with_name("aj"), "fit", "--train", here / "train.extxyz",
            "--energy-key", "label_energy", "--force-key", "label_forces",
            "--model", here / "basis.npz", "--r0", str(DISTANCE_A), "--e0", "prefit",
            "--out", here / "fit",
        ],
        check=True,
    )  # fmt: skip
    seconds = time.perf_counter() - begin
    errors = judged(here / "fit" / "model.npz", data, test)
    return errors | {
        "seconds": seconds, "n_parameters": n_parameters, "order": options.order,
        "degree": options.degree,
    }  # fmt: skip


def write_basis(path, options):
    """Write the basis; return the number of its functions.

    By `build_model`: hydrogen has no bond length in its table, and `aj fit --r0` does not hand its
    number to the basis (0.4.1).
    """
    import jax

    jax.config.update("jax_enable_x64", True)
    from ace_jax.basis.export import save_npz
    from ace_jax.basis.model import build_model

    made = build_model(
        ["H", "O"], options.order, options.degree, rcut=options.cutoff, r0=DISTANCE_A
    )  # fmt: skip
    save_npz(path, made)
    return int(made.meta["len_basis"])


def atoms_of(data, frame):
    from ase import Atoms

    z = data["Z"] if data["Z"].ndim == 1 else data["Z"][frame]
    cell = data["cell"] if data["cell"].ndim == 2 else data["cell"][frame]
    return Atoms(z, data["R"][frame], cell=cell, pbc=True)


def write(path, data, frames):
    import ase.io

    images = []
    for frame in frames:
        atoms = atoms_of(data, frame)
        atoms.info["label_energy"] = float(data["E"][frame])
        atoms.arrays["label_forces"] = data["F"][frame]
        images.append(atoms)
    ase.io.write(path, images, format="extxyz")


def judged(model, data, test):
    """Return root mean squares over the frames of the test."""
    import jax

    jax.config.update("jax_enable_x64", True)
    from ace_jax import ACECalculator

    calculator, energies, forces = ACECalculator(str(model)), [], []
    for frame in test:
        atoms = atoms_of(data, frame)
        atoms.calc = calculator
        energies.append((atoms.get_potential_energy() - data["E"][frame]) / len(atoms))
        forces.append(atoms.get_forces() - data["F"][frame])
    rms = [float(1e3 * np.sqrt(np.mean(np.square(part)))) for part in (energies, forces)]
    return {"energy_rmse_meV_per_atom": rms[0], "forces_rmse_meV_per_A": rms[1]}


if __name__ == "__main__":
    main()
