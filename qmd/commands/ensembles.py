"""`qmd.ensemble`: one input, many runs."""

from collections.abc import Callable
from os import PathLike
from pathlib import Path

from qmd.commands.inputs import Input, loaded
from qmd.commands.progress import bars, note
from qmd.config.load import Changes
from qmd.ensemble import session
from qmd.ensemble.config import EnsembleConfig
from qmd.ensemble.session import EnsembleJob, EnsembleResult
from qmd.jobs.stop import stopped_early


def plan_ensemble(
    input: Input[EnsembleConfig], *, set: Changes = (), log: Callable[[str], None] = note
) -> EnsembleJob:
    """Check the inputs of all runs, and run nothing; parameters and errors as in `ensemble`."""
    return session.prepare(loaded(input, EnsembleConfig, "ensemble", set, log))


def ensemble(
    input: Input[EnsembleConfig],
    *,
    set: Changes = (),
    output: str | PathLike[str] | None = None,
    progress: bool = True,
    log: Callable[[str], None] = note,
) -> EnsembleResult:
    """Run one input with many seeds, temperatures or potentials, each in a folder of its own.

    Runs that are finished are not begun again. With `executor: {kind: processes}`, the default, a
    script must guard its calls by ``if __name__ == "__main__":``, as always with processes.

    Parameters
    ----------
    input : path, mapping or EnsembleConfig
        Input file, or what it would hold; paths in a mapping are relative to the current folder.
    set : mapping or sequence of str
        Changes of keys, such as ``{"executor.workers": 2}``.
    output : path, optional
        Parent of the run folders; default: beside the input file and named like it, or `ensemble`
        in the current folder.
    progress : bool
        Show bars, on a terminal and in Jupyter; elsewhere lines, now and then.
    log : callable
        Takes lines for the user; default: they go to stderr.

    Returns
    -------
    EnsembleResult
        Also if runs failed: their outcomes say why. `check` raises an error for the first one.

    Raises
    ------
    QmdError
        If the input cannot be used. After Ctrl-C it is `Interrupted`, which is a
        `KeyboardInterrupt`, too, and `runs.csv` says how far the runs have come; the same call
        resumes them.
    """
    job = plan_ensemble(input, set=set, log=log)
    target = None if output is None else Path(output)
    with bars(progress) as on_progress:
        ended = session.run(job, target, log=log, on_progress=on_progress)
    if ended.stopped_by and ended.finished < len(ended.outcomes):
        error = stopped_early(
            ended.stopped_by,
            f"Stopped by {ended.stopped_by}; {ended.finished} of {len(ended.outcomes)} runs are "
            "finished, and all is saved.",
            session.AGAIN,
        )
        error.result = ended
        raise error
    return ended
