"""`qmd.tune`: the best settings of a training."""

from collections.abc import Callable
from os import PathLike
from pathlib import Path

from qmd.commands.inputs import Input, loaded
from qmd.commands.progress import bars, note
from qmd.config.load import Changes
from qmd.tune import session
from qmd.tune.config import TuneConfig
from qmd.tune.session import TuneJob, TuneResult


def plan_tune(
    input: Input[TuneConfig], *, set: Changes = (), log: Callable[[str], None] = note
) -> TuneJob:
    """Check an input and its training, and train nothing; parameters and errors as in `tune`."""
    return session.prepare(loaded(input, TuneConfig, "tune", set, log))


def tune(
    input: Input[TuneConfig],
    *,
    set: Changes = (),
    output: str | PathLike[str] | None = None,
    progress: bool = True,
    log: Callable[[str], None] = note,
) -> TuneResult:
    """Search for the best settings of a training, or resume a search.

    Parameters
    ----------
    input : path, mapping or TuneConfig
        Input file, or what it would hold; paths in a mapping are relative to the current folder.
    set : mapping or sequence of str
        Changes of keys, such as ``{"evaluations": 20}``.
    output : path, optional
        Folder of the search; default: beside the input file and named like it, or `tune` in the
        current folder.
    progress : bool
        Show bars, on a terminal and in Jupyter; elsewhere lines, now and then.
    log : callable
        Takes lines for the user; default: they go to stderr.

    Returns
    -------
    TuneResult
        Also if trainings failed: each of these is a point without errors.

    Raises
    ------
    QmdError
        If the input cannot be used. After Ctrl-C it is `Interrupted`, which is a
        `KeyboardInterrupt`, too; all that was found is written, and the same call resumes.
    """
    job = plan_tune(input, set=set, log=log)
    target = None if output is None else Path(output)
    with bars(progress) as on_progress:
        return session.run(job, target, log=log, on_progress=on_progress)
