"""Viewer of a molecule that can be rotated: the script of the installed chemiscope."""

import json
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from qmd.system.cell import completed, periodic
from qmd.typing import Array

MAX_FRAMES = 300
MAX_VALUES = 180_000
"""Largest number of coordinates; larger systems are shown over fewer frames."""
SMOOTH_FS = 2.0
"""Smallest time between frames; an O-H stretch takes 9 fs."""
PLAYBACK_MS = 50


@dataclass(frozen=True)
class Viewer:
    """Frames and script for the browser."""

    data: str
    """Frames as JSON."""
    caption: str
    script: str


def viewer(
    species: tuple[str, ...],
    positions: np.ndarray,
    times_ps: np.ndarray,
    cells: Array | None = None,
    molecules: tuple[tuple[int, ...], ...] = (),
) -> Viewer | None:
    """Return up to `MAX_FRAMES` frames from the start of a trajectory; None without chemiscope.

    A cell is drawn about the atoms, which are moved by lattice vectors so that each molecule lies
    in it, in one piece, at the first frame.

    Parameters
    ----------
    species : chemical symbols
    positions : (n_frames, n_atoms, 3)
        angstrom
    times_ps : (n_frames,)
    cells : (n_frames, 3, 3), optional
        Lattice vectors in rows, angstrom.
    molecules : tuples of atoms
        Atoms that stay together; every other atom is moved alone.
    """
    script = _script()
    if script is None:
        return None
    interval_fs = 1000 * float(np.diff(times_ps).mean()) if len(times_ps) > 1 else 1.0
    every = max(1, round(SMOOTH_FS / interval_fs))
    n_frames = max(1, min(MAX_FRAMES, MAX_VALUES // max(1, 3 * len(species))))
    shown = slice(0, n_frames * every, every)
    frames, times = positions[shown], times_ps[shown]
    structures: list[dict[str, Any]] = [
        {"size": len(x), "names": list(species), **_columns(x)} for x in frames
    ]
    look: dict[str, Any] = {"playbackDelay": PLAYBACK_MS, "bonds": True}
    if cells is not None and cells[0].any():
        shifts = _shifts(positions[0], cells[0], molecules)
        for structure, x, cell in zip(structures, frames, cells[shown], strict=True):
            structure |= _columns(x + shifts @ completed(cell))
            structure["cell"] = _drawn(cell, x).ravel().round(4).tolist()
        look["unitCell"] = True
    data = {
        "meta": {"name": "trajectory"},
        "structures": structures,
        "properties": {
            "time": {"target": "structure", "values": times.round(6).tolist(), "units": "ps"}
        },
        "settings": {"structure": [look]},
    }
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    caption = f"{len(frames)} frames, {times[0]:g} to {times[-1]:g} ps. Drag to turn it."
    return Viewer(text, caption, script)


def _shifts(x: Array, cell: Array, molecules: tuple[tuple[int, ...], ...]) -> Array:
    """Return whole numbers of lattice vectors that bring molecules into the cell, (n_atoms, 3)."""
    along, fractions = np.array(periodic(cell)), x @ np.linalg.inv(completed(cell))
    shifts = np.zeros_like(fractions)
    placed = np.zeros(len(x), bool)
    for atoms in molecules:
        members = list(atoms)
        placed[members] = True
        # About its first atom; molecules longer than half of a cell are cut somewhere anyway.
        shifts[members] = -np.round(fractions[members] - fractions[members[0]])
        centre = (fractions[members] + shifts[members]).mean(axis=0)
        shifts[members] -= np.floor(centre)
    shifts[~placed] = -np.floor(fractions[~placed])
    return np.asarray(np.where(along, shifts, 0.0))


def _drawn(cell: Array, x: Array) -> Array:
    """Return the cell with vectors as long as the system along its open directions."""
    whole = completed(cell)
    extent = np.ptp(x @ np.linalg.inv(whole), axis=0)
    open_ones = ~np.array(periodic(cell))
    return np.where(open_ones[:, None], whole * np.maximum(extent, 1.0)[:, None], whole)


def _columns(x: np.ndarray) -> dict[str, list[float]]:
    return {axis: x[:, k].round(4).tolist() for k, axis in enumerate("xyz")}


def _script() -> str | None:
    """Return the script, without importing chemiscope, which would import a notebook."""
    spec = find_spec("chemiscope")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "sphinx" / "static" / "chemiscope.min.js"
    if not path.is_file():
        return None
    return path.read_text().replace("</script", "<\\/script")
