"""`qmd.benchmark`: potentials by systems by measures."""

from collections.abc import Callable
from os import PathLike
from pathlib import Path

from qmd.benchmark import report, session, tables
from qmd.benchmark.config import BenchmarkConfig
from qmd.benchmark.session import BenchmarkResult
from qmd.commands.inputs import Input, loaded
from qmd.commands.progress import bars, note
from qmd.config.load import Changes
from qmd.io import files
from qmd.report import page


def benchmark(
    input: Input[BenchmarkConfig],
    *,
    set: Changes = (),
    output: str | PathLike[str] | None = None,
    markdown: str | PathLike[str] | None = None,
    progress: bool = True,
    log: Callable[[str], None] = note,
) -> BenchmarkResult:
    """Compare potentials under the same conditions: errors, drift, stability, symmetry, speed.

    Only what has no result yet is measured.

    Parameters
    ----------
    input : path, mapping or BenchmarkConfig
        Input file, or what it would hold; paths in a mapping are relative to the current folder.
    set : mapping or sequence of str
        Changes of keys, such as ``{"executor.kind": "processes"}``.
    output : path, optional
        Folder of the results; default: `output` in a folder beside the input that is named like
        it, or `benchmark/output` in the current folder.
    markdown : path, optional
        Further file for the tables.
    progress : bool
        Show bars, on a terminal and in Jupyter; elsewhere lines, now and then.
    log : callable
        Takes lines for the user; default: they go to stderr.

    Returns
    -------
    BenchmarkResult

    Raises
    ------
    QmdError
        The class says what is wrong; see `qmd.errors`. After Ctrl-C it is `Interrupted`, which is
        a `KeyboardInterrupt`, too; the same call resumes.
    """
    checked = loaded(input, BenchmarkConfig, "benchmark", set, log)
    target = None if output is None else Path(output)
    prepared = session.prepare(checked)
    with bars(progress) as on_progress:
        finished = session.run(prepared, target, log=log, on_progress=on_progress)
    page.write(finished.report, report.page(finished.results))
    text = tables.markdown(finished.results)
    files.write_text(finished.tables, text)
    if markdown is not None:
        files.write_text(Path(markdown), text)
    return finished
