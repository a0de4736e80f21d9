"""Viewer of a molecule that can be rotated: the script of the installed chemiscope."""

import json
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

MAX_FRAMES = 300
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


def viewer(species: tuple[str, ...], positions: np.ndarray, times_ps: np.ndarray) -> Viewer | None:
    """Return up to `MAX_FRAMES` frames from the start of a trajectory; None without chemiscope.

    Parameters
    ----------
    species : chemical symbols
    positions : (n_frames, n_atoms, 3)
        angstrom
    times_ps : (n_frames,)
    """
    script = _script()
    if script is None:
        return None
    interval_fs = 1000 * float(np.diff(times_ps).mean()) if len(times_ps) > 1 else 1.0
    every = max(1, round(SMOOTH_FS / interval_fs))
    shown = slice(0, MAX_FRAMES * every, every)
    frames, times = positions[shown], times_ps[shown]
    structures: list[dict[str, Any]] = [
        {"size": len(x), "names": list(species), **_columns(x)} for x in frames
    ]
    data = {
        "meta": {"name": "trajectory"},
        "structures": structures,
        "properties": {
            "time": {"target": "structure", "values": times.round(6).tolist(), "units": "ps"}
        },
        "settings": {"structure": [{"playbackDelay": PLAYBACK_MS, "bonds": True}]},
    }
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    caption = f"{len(frames)} frames, {times[0]:g} to {times[-1]:g} ps. Drag to turn it."
    return Viewer(text, caption, script)


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
