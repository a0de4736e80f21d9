"""Label many geometries in parallel, frame by frame, resumable at any moment."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from qmd.forces.dft import declare_processor
from qmd.jobs import executor as executors
from qmd.jobs.config import ExecutorConfig, of_workers
from qmd.jobs.open import open_executor
from qmd.typing import Array

Labels = dict[str, Array]


def label_frames(
    label: Callable[[Array], Labels],
    positions: Array,
    path: Path,
    fixed: dict[str, NDArray[np.generic]],
    per_frame: dict[str, NDArray[np.generic]],
    *,
    workers: int = 1,
    executor: ExecutorConfig | None = None,
    save_every: int = 25,
    log: Callable[[str], None] = print,
    warn: Callable[[str], None] = print,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
    saved: Callable[[int], None] = lambda done: None,
) -> int:
    """Label `positions` in order, and save as they come.

    Parameters
    ----------
    label : callable
        Positions (n_atoms, 3) -> named arrays of one frame; importable, for other processes.
    positions : (n_frames, n_atoms, 3)
        angstrom; saved as ``R``. Order them at random, and a partial file is a fair sample.
    path : Path
        The .npz file. What it holds already is kept, if its frames are the same.
    fixed, per_frame : dict
        Arrays saved along: of all frames (``Z``), and with one row a frame, cut to those done.
    workers : int
        Processes, one core each.
    executor : ExecutorConfig, optional
        Where labels are computed, in place of `workers`.
    log, warn, on_progress, saved : callable
        Take a line at each save, a line if a worker dies, frames done and their number after each
        frame, and frames in the file after each save.

    Returns
    -------
    int
        Number of frames labelled so far: all of them.

    Raises
    ------
    ValueError
        If the file holds other geometries.

    What `label` raises comes through, after all frames before that one have been saved.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    declare_processor()
    done = _load(path)
    n = len(done["R"]) if done else 0
    if n and not np.array_equal(done["R"], positions[:n]):
        raise ValueError(f"{path} holds other geometries. Move it away to start again.")
    names = done.keys() - {"R"} - fixed.keys() - per_frame.keys()
    rows = [{k: v[i] for k, v in done.items() if k in names} for i in range(n)]
    in_file = n

    def save() -> None:
        nonlocal in_file
        if len(rows) > in_file:
            _save(path, rows, positions, fixed, per_frame)
            in_file = len(rows)
            saved(in_file)
            log(f"{in_file} of {len(positions)} labelled")

    with open_executor(of_workers(executor, workers), warn) as opened:
        results = opened.run_tasks(_Label(label), list(positions[n:]))
        try:
            for labels in executors.in_order(results):
                rows.append(labels)
                on_progress(len(rows), len(positions))
                if len(rows) % save_every == 0:
                    save()
        finally:
            save()
    return len(rows)


@dataclass(frozen=True)
class _Label:
    """A label function as the work of an executor."""

    label: Callable[[Array], Labels]

    def __call__(self, positions: Array, context: executors.TaskContext) -> Labels:
        declare_processor()  # also where the environment of this process does not reach
        return self.label(positions)


def _load(path: Path) -> dict[str, Array]:
    if not path.is_file():
        return {}
    with np.load(path) as data:
        return dict(data)


def _save(
    path: Path,
    rows: list[Labels],
    positions: Array,
    fixed: dict[str, NDArray[np.generic]],
    per_frame: dict[str, NDArray[np.generic]],
) -> None:
    """Beside its final name, then renamed: never a torn file."""
    n = len(rows)
    arrays = fixed | {k: v[:n] for k, v in per_frame.items()}
    arrays |= {k: np.array([row[k] for row in rows]) for k in rows[0]}
    temporary = path.with_suffix(".tmp.npz")
    np.savez_compressed(temporary, R=positions[:n], **arrays)  # type: ignore[arg-type]
    os.replace(temporary, path)
