"""Share of a run's wall time that is not force evaluation and integration, a frame every 100 steps.

`qmd run` as its users call it, in new processes: everything between two frames that is not the
compiled loop counts, the log, checkpoints and the terminal included. The start of the process does
not: see `startup.py`. One more run, in this process, tells where the time goes: methods of the run
are timed from outside.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

import _harness

SYSTEMS = {
    "h2o": ("h2o", "sivqlm-h2o", "H2O, frame every 100 steps"),
    "dimer": ("h2o-dimer", "sivqlm-h2o-dimer", "(H2O)2, frame every 100 steps"),
}
FRAME = 100
PARTS = {
    "forces": "forces and integration", "frames": "frames", "log": "rows of the log",
    "checkpoints": "checkpoints", "rest": "the rest: energies, guards, the loop itself",
}  # fmt: skip
STEPS = {"h2o": 2_000_000, "dimer": 40_000}
INPUT = """\
system: {{structure: {structure}, temperature_K: 150}}
potential: {potential}
integrator: {{kind: velocity_verlet, timestep_fs: 0.5}}
steps: {steps}
output: {{trajectory_every: 100, log_every: 100}}
"""


def main() -> None:
    parser = _harness.parser(
        "Share of a run's wall time outside forces and integration.",
        "python benchmarks/output.py --json output.json --markdown output.md",
        repeats=5,
    )
    options = parser.parse_args()
    if options.quick:
        options.repeats = 2
    _harness.run(options, measure, markdown)


def measure(options: argparse.Namespace, progress: _harness.Progress) -> dict[str, Any]:
    """Run both systems in turn; what `--json` writes."""
    shares: dict[str, list[float]] = {name: [] for name in SYSTEMS}
    us: dict[str, list[float]] = {name: [] for name in SYSTEMS}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(options.repeats):
            for name, (structure, potential, _) in SYSTEMS.items():
                progress(f"round {turn + 1} of {options.repeats}: {name}")
                steps = STEPS[name] // (20 if options.quick else 1)
                text = INPUT.format(structure=structure, potential=potential, steps=steps)
                session = _session(Path(folder) / f"{name}-{turn}", text)
                wall, kernel = session["wall_s"], session["force_and_integration_s"]
                shares[name].append(1 - kernel / wall)
                us[name].append(1e6 * wall / steps)
        progress("profile")
        profiles = {}
        for name, (structure, potential, _) in SYSTEMS.items():
            steps = STEPS[name] // (20 if options.quick else 4)
            text = INPUT.format(structure=structure, potential=potential, steps=steps)
            profiles[name] = _profile(Path(folder) / f"{name}-profile", text, steps // FRAME)
    return {
        "benchmark": "output",
        "us_per_frame": profiles,
        "share": {name: statistics.median(sample) for name, sample in shares.items()},
        "samples_share": shares,
        "samples_us_per_step": us,
        "repeats": options.repeats,
        **_harness.environment(["netCDF4"]),
    }


def _profile(folder: Path, text: str, n_frames: int) -> dict[str, float]:
    """Microseconds a frame in each of `PARTS`, and in the rest."""
    from qmd.config import load as inputs
    from qmd.integrators import NativeReplicas
    from qmd.io import trajectory
    from qmd.run import reporters, session, simulation
    from qmd.run.config import RunConfig

    owners = (
        ("forces", NativeReplicas, "advance"),
        ("frames", trajectory.TrajectoryWriter, "write"),
        ("log", reporters.TextReporter, "report"),
        ("checkpoints", simulation.AbstractSimulation, "checkpoint"),
        ("whole", simulation.AbstractSimulation, "begin"),
        ("whole", simulation.AbstractSimulation, "run"),
    )
    seconds = dict.fromkeys((part for part, _, _ in owners), 0.0)

    def timed(part: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            begin = time.perf_counter()
            try:
                return method(*arguments)
            finally:
                seconds[part] += time.perf_counter() - begin

        return call

    folder.mkdir()
    (folder / "input.yaml").write_text(text, encoding="utf-8")
    with ExitStack() as stack:
        for part, owner, name in owners:
            method = timed(part, getattr(owner, name))
            stack.enter_context(mock.patch.object(owner, name, method))
        session.run(inputs.load(folder / "input.yaml", RunConfig))
    us = {part: 1e6 * value / n_frames for part, value in seconds.items()}
    whole = us.pop("whole")
    return us | {"rest": whole - sum(us.values())}


def _session(folder: Path, text: str) -> dict[str, Any]:
    """Read what `qmd run` says of its own session.

    Raises
    ------
    QmdError
        If the run fails.
    """
    folder.mkdir()
    (folder / "input.yaml").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "qmd", "run", str(folder / "input.yaml")]
    done = subprocess.run(
        command, cwd=_harness.ROOT, capture_output=True, text=True, check=False
    )  # fmt: skip
    if done.returncode != 0:
        from qmd.errors import QmdError

        raise QmdError(f"`qmd run` ended with {done.returncode}: {done.stderr[-300:]}")
    session: dict[str, Any] = json.loads((folder / "output" / "run.json").read_text())[
        "last_session"
    ]
    return session


def markdown(result: dict[str, Any]) -> str:
    """Title and table of a result of `measure`."""
    rows = []
    for name, (_, _, label) in SYSTEMS.items():
        low, median, high = (
            f"{100 * q:.1f} %"
            for q in statistics.quantiles(result["samples_share"][name], n=4, method="inclusive")
        )
        us, _ = _harness.spread(result["samples_us_per_step"][name])
        rows.append([label, median, f"{low} to {high}", us])
    head = ["`qmd run`", "share of output", "middle half", "us/step in all"]
    profile = [
        [label, *(_harness.number(result["us_per_frame"][name][part]) for name in SYSTEMS)]
        for part, label in PARTS.items()
    ]
    return "\n\n".join([
        "# Share of output", _harness.table(head, rows),
        _harness.table(["us a frame of 100 steps", "H2O", "(H2O)2"], profile),
    ])  # fmt: skip


if __name__ == "__main__":
    main()
