"""Check of the outputs of a run against the digests in its last checkpoint."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qmd.errors import CorruptError, InputError
from qmd.io import checkpoint, text, trajectory
from qmd.io.run_folder import RunPaths


def verify(folder: Path) -> None:
    """Compare the outputs in a run folder with what its last checkpoint recorded of them.

    The trajectory, the log and the topology are read from end to end. What a run has written behind
    its last checkpoint is not covered.

    Parameters
    ----------
    folder : Path
        The folder with the trajectory and the checkpoint.

    Raises
    ------
    InputError
        If there is no checkpoint.
    CorruptError
        If the checkpoint or an output is damaged, truncated or missing: the message names the
        frames of a trajectory and the lines of a text file, counted from 1.
    """
    paths = RunPaths(folder)
    if not paths.has_checkpoint:
        raise InputError(
            f"{folder} has no checkpoint to verify its outputs by.",
            "Copy the whole run folder, or leave out the verification.",
        )
    saved, _ = checkpoint.read_latest(paths.checkpoint)
    faults = []
    for output in _of_files(saved.outputs):
        try:
            _check(folder, output)
        except (CorruptError, InputError) as error:
            faults.append(error.message.removesuffix("."))
    if faults:
        raise CorruptError(
            f"{'; '.join(faults)}.",
            "Restore them from a copy, or repeat the run; `qmd run` writes topology.pdb again.",
        )


def _of_files(outputs: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Find the records of single files: an output may have several."""
    for output in outputs.values():
        if "file" in output:
            yield output
        else:
            yield from _of_files(output)


def _check(folder: Path, output: dict[str, Any]) -> None:
    name = str(output["file"])
    if Path(name).name != name:
        raise CorruptError(f"the checkpoint names an output outside of {folder}")
    if "frames" in output:
        trajectory.check(folder / name, output["frames"], output["digest"], output["blocks"])
    else:
        text.check(folder / name, output["bytes"], output["blocks"])
