"""Make MOLECULE_train_01.npz and MOLECULE_test_01.npz of the public files of rMD17.

    python runs/rmd17/split.py rmd17 labels       # rmd17.tar.bz2, unpacked, and where to write

The archive is at https://doi.org/10.6084/m9.figshare.12672038; of it are read
`npz_data/rmd17_MOLECULE.npz` and `splits/index_train_01.csv`, `splits/index_test_01.csv`.
"""

import argparse
from pathlib import Path

import numpy as np
from ase import units
from rows import MOLECULES

EV = units.kcal / units.mol
SHIPPED = *MOLECULES, "aspirin"
"""Molecules of the study, and one that only a shipped potential needs."""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("archive", type=Path, help="folder with npz_data and splits")
    parser.add_argument("target", type=Path, help="folder to write to")
    parser.add_argument("--split", default="01", help="one of 01 to 05")
    arguments = parser.parse_args()
    arguments.target.mkdir(parents=True, exist_ok=True)
    for molecule in SHIPPED:
        for part in ("train", "test"):
            path = arguments.target / f"{molecule}_{part}_{arguments.split}.npz"
            np.savez(path, **frames(arguments.archive, molecule, part, arguments.split))
            print(path)


def frames(archive, molecule, part, split):
    """Numbers, positions (angstrom), energies (eV) and forces (eV/angstrom) of one part."""
    index = np.loadtxt(archive / "splits" / f"index_{part}_{split}.csv", dtype=int)
    with np.load(archive / "npz_data" / f"rmd17_{molecule}.npz") as data:
        return {
            "Z": data["nuclear_charges"],
            "R": data["coords"][index],
            "E": EV * data["energies"][index],
            "F": EV * data["forces"][index],
        }


if __name__ == "__main__":
    main()
