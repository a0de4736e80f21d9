"""Label many geometries in parallel, frame by frame; can be resumed at any moment."""

import io
import os
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qmd.environment import environment
from qmd.errors import MismatchError, NumericalError
from qmd.forces.dft import pyscf_variables
from qmd.io import files
from qmd.jobs import executor as executors
from qmd.jobs.config import ExecutorConfig, executor_or_workers
from qmd.jobs.open import open_executor
from qmd.typing import Array

Labels = dict[str, Array]

_GEOMETRY = ("cell", "Z")
"""Arrays of frames that belong to the geometry, beside R."""
_OTHER_FILE = "give another --output, or move the file away to start again"


def label_frames(
    label: Callable[[Any], Labels],
    positions: Array,
    path: Path,
    fixed: Mapping[str, NDArray[Any]],
    per_frame: Mapping[str, NDArray[Any]],
    *,
    tasks: Sequence[Any] | None = None,
    workers: int = 1,
    executor: ExecutorConfig | None = None,
    save_every: int = 25,
    log: Callable[[str], None] = print,
    warn: Callable[[str], None] = print,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
    saved: Callable[[int], None] = lambda done: None,
) -> int:
    """Label `positions` in order, and save the labels every `save_every` frames.

    Parameters
    ----------
    label : callable
        Positions (n_atoms, 3), or a task -> named arrays of one frame; importable, for other
        processes.
    positions : (n_frames, n_atoms, 3)
        In angstrom; saved as ``R``. In random order, a partial file is a fair sample.
    path : Path
        The .npz file. Labels that it contains already are kept if its frames are the same.
    fixed, per_frame : mapping
        Further arrays to save: for all frames together (``Z``), and with one row per frame, of
        which those of labelled frames are saved.
    tasks : sequence, optional
        Arguments of `label`, one for each frame; default: its positions.
    workers : int
        Processes, one core each.
    executor : ExecutorConfig, optional
        Executor that computes the labels, in place of `workers`.
    log, warn, on_progress, saved : callable
        Called with a line at each save, with a line if a worker dies, with the frames done and
        their number after each frame, and with the frames in the file after each save.

    Returns
    -------
    int
        Number of labelled frames.

    Raises
    ------
    MismatchError
        If the file holds other geometries, or is no file of labels.

    An exception of `label` passes through, after all earlier frames have been saved.
    """
    done = _load(path)
    n = len(done["R"]) if done else 0
    given = {"R": positions, **{key: per_frame[key] for key in _GEOMETRY if key in per_frame}}
    if n and not all(np.array_equal(done.get(key, ()), x[:n]) for key, x in given.items()):
        raise MismatchError(
            f"{path} holds other geometries",
            hint=_OTHER_FILE,
        )
    names = done.keys() - {"R"} - fixed.keys() - per_frame.keys()
    rows = [{k: v[i] for k, v in done.items() if k in names} for i in range(n)]
    in_file = n

    def save() -> None:
        nonlocal in_file
        if len(rows) > in_file:
            if not path.exists():
                saved(0)  # first: it says what the labels are, whenever this ends
            _save(path, rows, positions, fixed, per_frame)
            in_file = len(rows)
            saved(in_file)
            log(f"{in_file} of {len(positions)} labelled")

    one_thread = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    chosen = executor_or_workers(executor, workers)
    with environment(one_thread), open_executor(chosen, warn) as opened:
        results = opened.run_tasks(_Label(label), list((positions if tasks is None else tasks)[n:]))
        try:
            for labels in executors.in_order(results):
                rows.append(labels)
                on_progress(len(rows), len(positions))
                if len(rows) % save_every == 0:
                    save()
        except NumericalError as error:
            raise NumericalError(
                f"frame {len(rows)} of {len(positions)}, counted from 0: {error.message}",
                hint="earlier frames are saved; the same command resumes at this one",
            ) from None
        finally:
            save()
    return len(rows)


@dataclass(frozen=True)
class _Label:
    """Label function as a task of an executor."""

    label: Callable[[Any], Labels]

    def __call__(self, positions: Any, context: executors.TaskContext) -> Labels:
        with environment(pyscf_variables()):  # in each process: they load PySCF themselves
            return self.label(positions)


def _load(path: Path) -> dict[str, Array]:
    if not path.is_file():
        return {}
    try:
        with np.load(path) as data:
            found = dict(data)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        reason = "it is empty" if path.stat().st_size == 0 else f"{type(error).__name__}: {error}"
        raise MismatchError(f"{path} holds no labels: {reason}", hint=_OTHER_FILE) from None
    if "R" not in found:
        raise MismatchError(f"{path} has no array R, and is no file of labels", hint=_OTHER_FILE)
    return found


def _save(
    path: Path,
    rows: list[Labels],
    positions: Array,
    fixed: Mapping[str, NDArray[Any]],
    per_frame: Mapping[str, NDArray[Any]],
) -> None:
    n = len(rows)
    arrays = dict(fixed) | {k: v[:n] for k, v in per_frame.items()}
    arrays |= {k: np.array([row[k] for row in rows]) for k in rows[0]}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, R=positions[:n], **arrays)  # type: ignore[arg-type]
    files.replace(path, buffer.getvalue(), keep_previous=False)
