"""Compare this version of qmd with another one: first run, start-up and steps, in CPU time.

The other version is installed in an environment of its own, from its own checkout; its Python is
given. Samples of both alternate, so that the load of the machine falls on both. CPU time is that of
the processes (user and system), which a busy machine stretches less than wall time.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import _harness

INPUT = """\
system: {structure: h2o, temperature_K: 300}
potential: sivqlm-h2o
integrator: {kind: velocity_verlet, timestep_fs: 0.5}
steps: 10
"""
STEPPER = """
import sys, time
import numpy as np
from ase.data import atomic_masses, atomic_numbers
from qmd import integrators, potentials, units
package = potentials.load(potentials.find(sys.argv[1]))
kernel = package.native()
force = kernel if isinstance(kernel, integrators.Force) else integrators.Force(*kernel)
inverse = 1 / atomic_masses[[atomic_numbers[s] for s in package.species]]
positions = np.asarray(package.test_positions[0])
start = integrators.initial_state(force, positions, np.zeros_like(positions))
method, n = integrators.VelocityVerlet(0.25 * units.fs), int(sys.argv[2])
for _ in sys.stdin:
    begin = time.process_time()
    end = method.advance(
        start, force, inverse, integrators.Stream(0), integrators.unlimited(), n).state
    print(time.process_time() - begin, end.positions.tobytes().hex(), flush=True)
"""
"""Steps of a shipped model, a sample for each line of the input; works with every version."""
MODELS = {"sivqlm-h2o": 3000, "sivqlm-lih": 3000, "qnn-ethanol": 200}
LABELS = {
    "first_run": "`qmd run`, 10 steps, no compiled kernels",
    "warm_run": "`qmd run`, 10 steps, warm caches",
    **{name: f"{name}, {n} steps in one process" for name, n in MODELS.items()},
}


def main() -> None:
    parser = _harness.parser(
        "This version over another one: first run, start-up and steps, in CPU time.",
        "python benchmarks/against.py ../qmd-0.1/.venv/bin/python --json against.json",
        repeats=7,
    )
    parser.add_argument("other", help="Python of the environment that has the other version")
    options = parser.parse_args()
    if options.quick:
        options.repeats = 2
    _harness.run(options, measure, markdown)


def measure(options: argparse.Namespace, progress: _harness.Progress) -> dict[str, Any]:
    """Time both versions in turn; what `--json` writes."""
    pythons = {"other": options.other, "this": sys.executable}
    samples: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "input.yaml").write_text(INPUT, encoding="utf-8")
        for name in ("first_run", "warm_run"):
            samples[name] = _runs(pythons, Path(folder), name, options.repeats, progress)
    same = {}
    for name, n in MODELS.items():
        samples[name], same[name] = _steps(pythons, name, n, 5 * options.repeats, progress)
    return {
        "benchmark": "against",
        **{f"{name}_this_over_other": _ratio(times) for name, times in samples.items()},
        "same_bits": same,
        "samples_s": samples,
        "repeats": options.repeats,
        **_harness.environment(["ase"]),
    }


def _ratio(times: dict[str, list[float]]) -> float:
    pairs = zip(times["this"], times["other"], strict=True)
    return statistics.median(this / other for this, other in pairs)


def _runs(
    pythons: dict[str, str], folder: Path, name: str, repeats: int, progress: _harness.Progress
) -> dict[str, list[float]]:
    """CPU times (s) of ``qmd run`` in new processes; a first round that does not count."""
    times: dict[str, list[float]] = {which: [] for which in pythons}
    for turn in range(repeats + 1):
        for which, python in pythons.items():
            progress(f"{name}, round {turn} of {repeats}: {which}")
            cache = folder / (f"{which}-{turn}" if name == "first_run" else which)
            times[which].append(_qmd_run(python, folder, cache, f"{name}-{which}-{turn}"))
    return {which: all_of_it[1:] for which, all_of_it in times.items()}


def _qmd_run(python: str, folder: Path, cache: Path, output: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [python, "-m", "qmd", "run", "input.yaml", "--output", output],
        cwd=folder, env=os.environ | {"NUMBA_CACHE_DIR": str(cache)}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        from qmd.errors import QmdError

        raise QmdError(f"{python}: `qmd run` ended with {done.returncode}: {done.stderr[-300:]}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _steps(
    pythons: dict[str, str], model: str, n: int, rounds: int, progress: _harness.Progress
) -> tuple[dict[str, list[float]], bool]:
    """CPU times (s) of `n` steps in two processes in turn, and if their positions are the same."""
    times: dict[str, list[float]] = {which: [] for which in pythons}
    ends: dict[str, str] = {}
    with _stepper(pythons["other"], model, n) as other, _stepper(pythons["this"], model, n) as this:
        for turn in range(rounds + 1):
            progress(f"{model}, round {turn} of {rounds}")
            for which, process in (("other", other), ("this", this)):
                process.stdin.write("\n")
                process.stdin.flush()
                seconds, ends[which] = process.stdout.readline().split()
                times[which].append(float(seconds))
    counted = {which: all_of_it[1:] for which, all_of_it in times.items()}
    return counted, ends["this"] == ends["other"]


@contextmanager
def _stepper(python: str, model: str, n: int) -> Iterator[Any]:
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [python, "-c", STEPPER, model, str(n)],
            cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


def markdown(result: dict[str, Any]) -> str:
    """Title and table of a result of `measure`."""
    rows = [
        [
            label,
            *(_harness.spread(result["samples_s"][name][which])[0] for which in ("this", "other")),
            f"{result[f'{name}_this_over_other']:.3f}",
        ]
        for name, label in LABELS.items()
    ]
    head = ["", "this version, CPU s", "the other, CPU s", "this over other"]
    return "# Against another version\n\n" + _harness.table(head, rows)


if __name__ == "__main__":
    main()
