"""Wall time of `qmd run` of ten steps of water over that of importing what it is made of.

Both are new processes, with warm caches: ``qmd run`` with a fresh output folder each time, and
``python -c "import numpy, numba, netCDF4"``.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import _harness

INPUT = """\
system: {structure: h2o, temperature_K: 300}
potential: %s
integrator: {kind: velocity_verlet, timestep_fs: 0.5}
steps: 10
"""
LABELS = {"qmd_run": "`qmd run`, 10 steps", "imports": '`python -c "import numpy, numba, netCDF4"`'}


def main() -> None:
    parser = _harness.parser(
        "Wall time of `qmd run` of ten steps over that of importing NumPy, Numba and netCDF4.",
        "python benchmarks/startup.py --json startup.json --markdown startup.md",
        repeats=7,
    )
    parser.add_argument(
        "--potential", default="sivqlm-h2o", help="name or .qmdp of H2O (default: %(default)s)"
    )
    options = parser.parse_args()
    if options.quick:
        options.repeats = 2
    _harness.run(options, measure, markdown)


def measure(options: argparse.Namespace, progress: _harness.Progress) -> dict[str, Any]:
    """Time both processes in turn; what `--json` writes."""
    path = Path(options.potential)
    potential = path.resolve() if path.is_file() else path
    with tempfile.TemporaryDirectory() as folder:
        input_file = Path(folder) / "input.yaml"
        input_file.write_text(INPUT % potential, encoding="utf-8")
        turns = iter(range(options.repeats + 1))
        tasks = {
            "qmd_run": lambda: _run_qmd(input_file, Path(folder) / f"output{next(turns)}"),
            "imports": lambda: _python("import numpy, numba, netCDF4"),
        }
        times = _harness.interleaved(tasks, options.repeats, progress)
    medians = {name: statistics.median(sample) for name, sample in times.items()}
    return {
        "benchmark": "startup",
        "qmd_run_over_imports": medians["qmd_run"] / medians["imports"],
        "seconds": medians,
        "samples_s": times,
        "repeats": options.repeats,
        **_harness.environment(["netCDF4", "pydantic", "typer"]),
    }


def _run_qmd(input_file: Path, output: Path) -> None:
    _python("from qmd.cli import app; app()", "run", str(input_file), "--output", str(output))


def _python(code: str, *arguments: str) -> None:
    """Run `code` as the interpreter's console scripts do, from the root of the checkout.

    Raises
    ------
    QmdError
        If it fails.
    """
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=_harness.ROOT, capture_output=True, text=True, check=False, env=_environment(),
    )  # fmt: skip
    if done.returncode != 0:
        from qmd.errors import QmdError

        raise QmdError(f"`{code}` ended with {done.returncode}: {done.stderr[-300:]}")


def _environment() -> dict[str, str]:
    """Return the environment of this process, in which Python may keep compiled modules."""
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def markdown(result: dict[str, Any]) -> str:
    """Title and table of a result of `measure`."""
    rows = []
    for name, label in LABELS.items():
        ratio = result["qmd_run_over_imports"] if name == "qmd_run" else 1.0
        rows.append([label, *_harness.spread(result["samples_s"][name]), _harness.number(ratio)])
    head = ["new process", "s", "middle half", "time over imports"]
    return "# Start-up\n\n" + _harness.table(head, rows)


if __name__ == "__main__":
    main()
