"""`qmd.label`: energies and forces of geometries by a reference method."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from qmd.commands.inputs import Input, loaded
from qmd.commands.progress import bars, note
from qmd.config.load import Changes
from qmd.io import files
from qmd.label import session
from qmd.label.config import LabelConfig


@dataclass(frozen=True)
class LabelResult:
    """A labelled data set: its file, and what its card says."""

    labels: Path
    """The .npz file."""
    card: Path
    """Its card, JSON."""
    frames: int
    """Frames in the file."""
    level_of_theory: str

    def summary(self) -> str:
        """Return a line about the data set, as `qmd label` prints it."""
        return (
            f"{self.frames} frame{'' if self.frames == 1 else 's'} by {self.level_of_theory}: "
            f"{self.labels}, and its card {self.card}"
        )


def label(
    input: Input[LabelConfig],
    *,
    set: Changes = (),
    output: str | PathLike[str] | None = None,
    progress: bool = True,
    log: Callable[[str], None] = note,
) -> LabelResult:
    """Label the geometries that have no labels yet.

    Parameters
    ----------
    input : path, mapping or LabelConfig
        Input file, or what it would hold; paths in a mapping are relative to the current folder.
    set : mapping or sequence of str
        Changes of keys, such as ``{"workers": 2}``.
    output : path, optional
        The .npz file; default: `labels.npz` beside the input, or in the current folder.
    progress : bool
        Show bars, on a terminal and in Jupyter; elsewhere lines, now and then.
    log : callable
        Takes lines for the user; default: they go to stderr.

    Returns
    -------
    LabelResult

    Raises
    ------
    QmdError
        The class says what is wrong; see `qmd.errors`. After Ctrl-C it is `Interrupted`, which is
        a `KeyboardInterrupt`, too. Finished frames are saved: the same call resumes after them.
    """
    checked = loaded(input, LabelConfig, "label", set, log)
    target = None if output is None else Path(output)
    with bars(progress) as on_progress:
        written = session.run(
            checked, target, log=log,
            on_progress=lambda done, total: on_progress("labels", done, total),
        )  # fmt: skip
    card_file = written.with_suffix(".json")
    card = json.loads(files.read_bytes(card_file, 1 << 24))
    return LabelResult(written, card_file, card["frames"], card["level_of_theory"])
