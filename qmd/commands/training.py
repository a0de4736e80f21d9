"""`qmd.train`: fit a potential to labels."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

from qmd.commands.inputs import Input, loaded
from qmd.commands.progress import display, note
from qmd.config.load import Changes
from qmd.train import session
from qmd.train.config import TrainConfig
from qmd.train.session import TrainingJob, TrainingResult
from qmd.train.trainer import OnProgress, TrainingUpdate


def plan_training(
    input: Input[TrainConfig], *, set: Changes = (), log: Callable[[str], None] = note
) -> TrainingJob:
    """Check an input and its data, and train nothing; parameters and errors as in `train`."""
    return session.prepare(loaded(input, TrainConfig, "train", set, log))


def train(
    input: Input[TrainConfig],
    *,
    set: Changes = (),
    output: str | PathLike[str] | None = None,
    overwrite: bool = False,
    progress: bool = True,
    log: Callable[[str], None] = note,
) -> TrainingResult:
    """Begin a training, or resume it, and write the package.

    Parameters
    ----------
    input : path, mapping or TrainConfig
        Input file, or what it would hold; paths in a mapping are relative to the current folder.
    set : mapping or sequence of str
        Changes of keys, such as ``{"dataset": "labels.npz"}``.
    output : path, optional
        Package to write; default: its name in `output`, beside the input or in the current folder.
    overwrite : bool
        Discard an earlier training and begin again.
    progress : bool
        Show bars, on a terminal and in Jupyter; elsewhere a line for each stage.
    log : callable
        Takes lines for the user; default: they go to stderr.

    Returns
    -------
    TrainingResult

    Raises
    ------
    QmdError
        The class says what is wrong; see `qmd.errors`. After Ctrl-C it is `Interrupted`, which is
        a `KeyboardInterrupt`, too: the best result so far has been written, and the same call
        resumes.
    """
    job = plan_training(input, set=set, log=log)
    if progress:
        log(job.summary())
    target = None if output is None else Path(output)
    with _bars(progress) as on_progress:
        return session.run(job, target, overwrite=overwrite, log=log, on_progress=on_progress)


@contextmanager
def _bars(shown: bool) -> Iterator[OnProgress]:
    """Yield a callback: a bar for each stage of a start, and a line once it is finished."""
    with display(shown) as screen:

        def on_progress(update: TrainingUpdate) -> None:
            title = f"start {update.start}, stage {update.stage + 1}"
            if update.done:
                line = f"{title}: {update.iteration} of {update.total}, {_errors(update)}"
                screen.end(title, line)
            else:
                screen.update(title, update.iteration, update.total, lambda: _errors(update))

        yield on_progress


def _errors(update: TrainingUpdate) -> str:
    return (
        f"loss {update.loss:.4g}, validation {update.energy_rmse_meV:.3g} meV, "
        f"{update.forces_rmse_meV_per_A:.3g} meV/A"
    )
