"""Write the frames of `qmd run frames.yaml`, but for the start, to frames.extxyz.

python runs/labels-methanol/frames.py
"""

from pathlib import Path

from ase import Atoms
from ase.io import write

import qmd

HERE = Path(__file__).parent


def main() -> None:
    universe = qmd.load(HERE / "output")
    symbols = list(universe.atoms.elements)
    frames = [Atoms(symbols, ts.positions.astype(float)) for ts in universe.trajectory[1:]]
    write(HERE / "frames.extxyz", frames)


if __name__ == "__main__":
    main()
