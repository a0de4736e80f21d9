"""Trajectories in the formats of other programs, written by MDAnalysis and ASE."""

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from qmd.errors import InputError, NotInstalledError, OutputError
from qmd.io import files
from qmd.io.trajectory import read_cells
from qmd.io.universe import find, load, trajectory_file
from qmd.system.cell import is_full

BY_ASE = {".extxyz": "extxyz", ".traj": "traj"}
"""Formats with energies, forces, momenta and masses, by suffix."""
BY_MDANALYSIS: dict[str, dict[str, Any]] = {
    ".xyz": {"precision": 9},
    ".dcd": {},
    # Nanometres: coordinates are multiples of 1e-4 angstrom, of 1e-2 by default.
    ".xtc": {"precision": 5},
    ".trr": {},
    ".h5md": {},
    ".pdb": {},
}
"""Formats of MDAnalysis by suffix, with the options of their writers."""
SUFFIXES = (*BY_ASE, *BY_MDANALYSIS)

OnProgress = Callable[[str, int, int], None]


def convert(
    run_dir: Path,
    target: Path,
    *,
    replica: int | None = None,
    every: int = 1,
    overwrite: bool = False,
    on_progress: OnProgress = lambda what, done, of: None,
) -> int:
    """Write the trajectory of a run in the format that the suffix of `target` names.

    Parameters
    ----------
    run_dir : Path
        Folder of a run.
    target : Path
        File to write: `.extxyz`, `.traj` (ASE), `.xyz`, `.dcd`, `.xtc`, `.trr`, `.h5md`, `.pdb`.
    replica : int, optional
        Replica to convert, in a run of several.
    every : int
        Write every n-th frame.
    overwrite : bool
        Replace `target` if it exists.
    on_progress : callable
        Takes the activity, the number of frames done, and their number.

    Returns
    -------
    int
        Number of frames written.

    Raises
    ------
    InputError
        If there is no such run, replica or format, or the format does not hold the cell of the run.
    NotInstalledError
        If a format needs a package that is not there.
    OutputError
        If `target` exists, or cannot be written.
    """
    suffix = target.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{target}: expected a file that ends in one of {', '.join(SUFFIXES)}")
    if os.path.exists(target) and not overwrite:
        raise OutputError(f"{target} exists.", "Choose another name, or use --overwrite.")
    if not os.path.isdir(target.absolute().parent):
        raise OutputError(f"{target}: there is no folder {target.parent}.")
    if suffix not in BY_ASE:
        _check_holds_cell(suffix, trajectory_file(find(run_dir), replica))
    write = _by_ase if suffix in BY_ASE else _by_mdanalysis
    with files.output_errors(target), _complete_or_absent(target) as part:
        return write(run_dir, part, replica, every, on_progress)


def _check_holds_cell(suffix: str, path: Path) -> None:
    """Raise InputError where a format would drop the cell of a run, or a part of it."""
    cells = read_cells(path)
    if cells is None or not len(cells):
        return
    if suffix == ".xyz" or not is_full(cells[0]):
        what = "has no cell" if suffix == ".xyz" else "has only cells that are periodic in full"
        raise InputError(
            f"{path} is periodic, and {suffix} {what}.",
            "Write `.extxyz` or `.traj`.",
        )


@contextmanager
def _complete_or_absent(target: Path) -> Iterator[Path]:
    """Yield another name to write to, which becomes `target` if the body succeeds."""
    part = target.with_name(f".{target.stem}.part{target.suffix}")
    part.unlink(missing_ok=True)  # left by a killed process, or a planted link
    try:
        yield part
        files.fsync_file(part)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


def _by_ase(
    run_dir: Path, target: Path, replica: int | None, every: int, on_progress: OnProgress
) -> int:
    from ase.io import write
    from ase.io.trajectory import Trajectory

    from qmd.interop.ase_trajectory import frames
    from qmd.io.trajectory import read_frames

    path = trajectory_file(find(run_dir), replica)
    stored, n = read_frames(path), 0
    shared = replica if "replica" in (stored.dtype.names or ()) else None
    count = len(stored) if shared is None else int((stored["replica"] == shared).sum())
    total = len(range(0, count, every))
    file: Any = Trajectory(str(target), "w") if target.suffix == ".traj" else open(target, "w")
    append = file.write if target.suffix == ".traj" else partial(write, file, format="extxyz")
    with file:
        for n, atoms in enumerate(frames(path, slice(None, None, every), shared), start=1):
            append(atoms)
            on_progress("frames", n, total)
    return n


def _by_mdanalysis(
    run_dir: Path, target: Path, replica: int | None, every: int, on_progress: OnProgress
) -> int:
    import MDAnalysis

    universe = load(run_dir, replica)
    chosen = universe.trajectory[::every]
    options = dict(BY_MDANALYSIS[target.suffix.lower()])
    if target.suffix == ".pdb":
        options["multiframe"] = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of missing cells and PDB fields: there are none
            with MDAnalysis.Writer(str(target), n_atoms=len(universe.atoms), **options) as writer:
                for n, _ in enumerate(chosen, start=1):
                    writer.write(universe.atoms)
                    on_progress("frames", n, len(chosen))
    except (ImportError, RuntimeError) as error:
        if "h5py" not in str(error):
            raise
        raise NotInstalledError(
            f"{target.suffix} needs h5py: {error}", "pip install h5py"
        ) from None
    return len(chosen)
