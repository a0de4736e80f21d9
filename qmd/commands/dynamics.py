"""`qmd.run`: begin or resume a run; its files, its speed, and means over its log."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from qmd import units
from qmd.analysis import statistics
from qmd.analysis.series import Log, read_log
from qmd.analysis.statistics import Mean
from qmd.commands.inputs import Input, loaded
from qmd.commands.progress import display, note
from qmd.config.load import Changes
from qmd.run import session
from qmd.run.config import RunConfig
from qmd.run.session import RunSession
from qmd.run.simulation import RunProgress

if TYPE_CHECKING:
    import MDAnalysis

MIN_ROWS = 8
"""Smallest number of rows of the log that a mean is taken of."""
PATIENCE_S = 2.0
"""Length of a start (s) after which a note says that kernels are being compiled."""


@dataclass(frozen=True)
class RunResult:
    """A finished run: its files, its length and speed, and means over the rows of its log."""

    system: str
    potential: str
    directory: Path
    trajectory: Path | None
    """None where each replica has a trajectory of its own."""
    topology: Path
    log: Path
    record: Path
    """`run.json`."""
    final: Path
    """Last structure, with momenta and forces."""
    replicas_table: Path | None
    """`replicas.csv`; None of a run of one trajectory."""
    steps: int
    """Steps of the whole run."""
    timestep_fs: float
    degrees_of_freedom: int
    drift_A_per_ps: float
    """Speed of the centre of mass, which temperatures leave out; 0 if it does not drift."""
    conserves_energy: bool
    """True if the total energy should stay as it is."""
    rows: int
    """Rows of the log."""
    temperature_K: Mean | None
    """Mean over the log and its standard error; None if there are too few rows."""
    last_temperature_K: float
    energy_change_eV: float | None
    """Total energy of the last row less that of the first one, step 0; None if replicas failed."""
    energy_fluctuation_eV: float | None
    """Standard deviation of the total energy over the log; None as above."""
    session_steps: int
    """Steps of this call; the other numbers below are of this call, too."""
    seconds: float
    output_seconds: float
    start_seconds: float
    """Time from the call to the first step."""
    steps_outside_domain: int
    """Steps outside the range of the training data."""
    replicas: int
    failed_replicas: int
    threads: int

    @property
    def length_ps(self) -> float:
        """Length of the whole run (ps)."""
        return self.steps * self.timestep_fs / 1000

    @property
    def steps_per_s(self) -> float | None:
        """Speed of this call; None if it made no step."""
        return self.session_steps / self.seconds if self.session_steps else None

    @property
    def ns_per_day(self) -> float | None:
        """Speed of this call in nanoseconds per day; None if it made no step."""
        rate = self.steps_per_s
        return None if rate is None else ns_per_day(rate, self.timestep_fs)

    def load(self, replica: int | None = None) -> "MDAnalysis.Universe":
        """Open the run in MDAnalysis; see `qmd.load`."""
        import qmd

        return qmd.load(self.directory, replica)

    def summary(self) -> str:
        """Return a few lines about the run, as `qmd run` prints them."""
        return "\n".join([*self._length_and_speed(), *self._means(), *self._warnings()])

    def _length_and_speed(self) -> Iterator[str]:
        many = f"{self.replicas} replicas of " if self.replicas > 1 else ""
        yield (
            f"{many}{self.system} on {self.potential}: {self.steps} steps, {self.length_ps:g} ps"
        )
        rate = self.steps_per_s
        if rate is None:
            return
        shared = self.replicas == 1 and self.threads > 1
        yield (
            f"{self.session_steps} steps in {self.seconds:.2f} s: {rate:,.0f} steps/s, "
            f"{self.ns_per_day:,.1f} ns/day, {1e6 / rate:.2f} us/step "
            f"({100 * self.output_seconds / self.seconds:.0f} % for output)"
            f"{f', on {self.threads} threads' if shared else ''}; "
            f"start-up {self.start_seconds:.2f} s"
        )
        if self.replicas > 1:
            yield (
                f"all replicas: {self.replicas * rate:,.0f} steps/s, "
                f"{ns_per_day(self.replicas * rate, self.timestep_fs):,.1f} ns/day, "
                f"on {self.threads} thread{'s' if self.threads > 1 else ''}"
            )

    def _means(self) -> Iterator[str]:
        of = f"the {self.replicas} replicas and " if self.replicas > 1 else ""
        about = " about the drifting centre of mass" if self.drift_A_per_ps else ""
        free = f"{self.degrees_of_freedom} degrees of freedom{about}"
        if self.temperature_K is None:
            yield (
                f"temperature {self.last_temperature_K:.1f} K at the last step ({free}); "
                f"no mean of {self.rows} row{'s' if self.rows > 1 else ''} of the log"
            )
        else:
            mean = self.temperature_K
            yield (
                f"temperature {statistics.with_error(mean.value, mean.error)} K, mean and "
                f"standard error over {of}{self.rows - mean.begin} rows of the log ({free}); "
                f"{self.last_temperature_K:.1f} K at the last step"
            )
        if self.energy_change_eV is not None and self.energy_fluctuation_eV is not None:
            kind = "" if self.conserves_energy else "; the bath exchanges energy"
            yield (
                f"total energy {1000 * self.energy_change_eV:+.3g} meV at the last step relative "
                f"to step 0, standard deviation {1000 * self.energy_fluctuation_eV:.3g} meV{kind}"
            )

    def _warnings(self) -> Iterator[str]:
        if self.failed_replicas and self.replicas_table:
            yield (
                f"warning: {self.failed_replicas} of {self.replicas} replicas failed; "
                f"{self.replicas_table.name} says when and why"
            )
        if self.steps_outside_domain:
            yield (
                f"warning: {self.steps_outside_domain} steps were outside the range of the "
                "training data"
            )
        yield f"results in {self.directory}"


def run(
    input: Input[RunConfig],
    *,
    set: Changes = (),
    output: str | PathLike[str] | None = None,
    overwrite: bool = False,
    progress: bool = True,
    log: Callable[[str], None] = note,
) -> RunResult:
    """Begin a run, or resume it where an earlier call stopped.

    Parameters
    ----------
    input : path, mapping or RunConfig
        Input file, or what it would hold; paths in a mapping are relative to the current folder.
    set : mapping or sequence of str
        Changes of keys: ``{"integrator.timestep_fs": 0.25}`` or ``["steps=1e6"]``.
    output : path, optional
        Output folder; default: `output` beside the input file, or in the current folder.
    overwrite : bool
        Delete the outputs of an earlier run and begin again.
    progress : bool
        Show bars, on a terminal and in Jupyter; elsewhere lines, now and then.
    log : callable
        Takes lines for the user; default: they go to stderr.

    Returns
    -------
    RunResult

    Raises
    ------
    QmdError
        The class says what is wrong; see `qmd.errors`. After Ctrl-C or *Interrupt the kernel* it
        is `Interrupted`, which is a `KeyboardInterrupt`, too: the same call resumes the run.

    Examples
    --------
    >>> result = qmd.run("input.yaml", set={"steps": 2000})  # doctest: +SKIP
    >>> result.temperature_K.value, result.trajectory  # doctest: +SKIP
    """
    checked = loaded(input, RunConfig, "input", set, log)
    target = None if output is None else Path(output)
    with _bar(checked.config.integrator.timestep_fs, progress) as on_progress:
        finished = session.run(
            checked, target, overwrite=overwrite, log=log, on_progress=on_progress
        )
    return result_of(finished)


def result_of(finished: RunSession) -> RunResult:
    """Return the plain result of a session, with means over the log of the whole run."""
    progress, setup, paths = finished.progress, finished.setup, finished.paths
    seconds = progress.seconds  # grows until it is asked for
    many = progress.replicas > 1
    rows = read_log(paths.log, "mean_" if many else "")
    total, last = rows.total, progress.snapshot
    assert last is not None  # a session that has ended has one
    first_energy = rows.first_potential + rows.kinetic[0]
    comparable = not progress.failed  # means over different replicas cannot be compared
    return RunResult(
        system=setup.system.name,
        potential=setup.potential.name,
        directory=paths.directory,
        trajectory=paths.trajectory if paths.trajectory.exists() else None,
        topology=paths.topology,
        log=paths.log,
        record=paths.record,
        final=paths.final,
        replicas_table=paths.replicas if many else None,
        steps=progress.first_step + progress.steps_done,
        timestep_fs=setup.config.integrator.timestep_fs,
        degrees_of_freedom=setup.dof,
        drift_A_per_ps=float(setup.thermometer.drift * units.ps),
        conserves_energy=progress.conserves_energy,
        rows=len(total),
        temperature_K=_temperature(rows),
        last_temperature_K=last.temperature_K,
        energy_change_eV=float(last.total_energy - first_energy) if comparable else None,
        energy_fluctuation_eV=float(total.std()) if comparable else None,
        session_steps=progress.steps_done,
        seconds=seconds,
        output_seconds=seconds - progress.in_kernel_s,
        start_seconds=finished.start_s,
        steps_outside_domain=progress.warned_steps,
        replicas=progress.replicas,
        failed_replicas=progress.failed,
        threads=progress.threads,
    )


def _temperature(rows: Log) -> Mean | None:
    if len(rows.temperature) < MIN_ROWS:
        return None
    return statistics.mean(rows.temperature)


@contextmanager
def _bar(timestep_fs: float, shown: bool) -> Iterator[Callable[[RunProgress], None]]:
    """Yield a callback that shows a `RunProgress`; a note appears if the start takes long."""
    text = "compiling kernels: a quarter of a minute, on the first run only ..."
    wait = threading.Timer(PATIENCE_S, note, [text])
    wait.daemon = True
    with display(shown) as screen:
        if shown and screen.live:
            wait.start()

        def on_progress(progress: RunProgress) -> None:
            wait.cancel()
            done = progress.first_step + progress.steps_done
            screen.update("steps", done, progress.n_steps, lambda: _text(progress, timestep_fs))

        try:
            yield on_progress
        finally:
            wait.cancel()


def _text(progress: RunProgress, timestep_fs: float) -> str:
    assert progress.snapshot is not None and progress.first is not None
    rate = progress.steps_done / progress.seconds
    parts = [
        f"{rate:,.0f} steps/s",
        f"{ns_per_day(rate, timestep_fs):,.1f} ns/day",
        f"{progress.snapshot.temperature_K:.0f} K",
    ]
    if progress.replicas > 1:
        left = progress.replicas - progress.failed
        parts.append(f"{left} of {progress.replicas} replicas")
    if progress.conserves_energy and not progress.failed:
        change = progress.snapshot.total_energy - progress.first.total_energy
        parts.append(f"dE {1000 * change:+.3f} meV")
    return "  ".join(parts)


def ns_per_day(steps_per_s: float, timestep_fs: float) -> float:
    """Return the speed of a run in nanoseconds per day."""
    return steps_per_s * timestep_fs * 86400 * 1e-6
