"""`qmd.convert`: the trajectory of a run in the format of another program."""

from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from qmd.commands.dynamics import RunResult
from qmd.commands.progress import bars
from qmd.interop import convert as conversion


@dataclass(frozen=True)
class ConversionResult:
    """A converted trajectory."""

    path: Path
    """The file."""
    frames: int
    """Number of frames in it."""

    def summary(self) -> str:
        """Return a line, as `qmd convert` prints it."""
        return f"{self.path}: {self.frames} frame{'' if self.frames == 1 else 's'}"


def convert(
    run: str | PathLike[str] | RunResult,
    output: str | PathLike[str],
    *,
    replica: int | None = None,
    every: int = 1,
    overwrite: bool = False,
    progress: bool = True,
) -> ConversionResult:
    """Write the trajectory of a run as extended XYZ, XYZ, DCD, XTC, TRR, H5MD, PDB or ASE's .traj.

    Extended XYZ and .traj have energies, forces, momenta and the masses of the run; TRR and H5MD
    velocities and forces; the others have positions only.

    Parameters
    ----------
    run : path or RunResult
        Folder of a run, or what `qmd.run` returned.
    output : path
        File to write; its suffix is the format.
    replica : int, optional
        Replica to convert, in a run of several.
    every : int
        Write every n-th frame.
    overwrite : bool
        Replace `output` if it exists.
    progress : bool
        Show a bar, on a terminal and in Jupyter; elsewhere lines, now and then.

    Returns
    -------
    ConversionResult

    Raises
    ------
    QmdError
        If there is no such run, replica or format, or the file cannot be written.
    """
    folder = run.directory if isinstance(run, RunResult) else Path(run)
    target = Path(output)
    with bars(progress) as on_progress:
        n = conversion.convert(
            folder, target, replica=replica, every=every, overwrite=overwrite,
            on_progress=on_progress,
        )  # fmt: skip
    return ConversionResult(target, n)
