"""Parts that the benchmarks share: one thread, interleaved samples, machine and versions, reports.

Imported before NumPy and JAX, which read the number of threads when they are loaded; therefore
the scripts import everything heavy inside functions, after `one_thread`.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # measure this checkout, whatever else is installed

_ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "NPROC": "1",  # the thread pools of XLA on CPU
}


def one_thread() -> None:
    """Pin all libraries to one thread; call it before they are imported.

    Raises
    ------
    RuntimeError
        If NumPy or JAX has been imported already.
    """
    loaded = [name for name in ("numpy", "jax") if name in sys.modules]
    if loaded:
        raise RuntimeError(f"`one_thread` must come before the import of {' and '.join(loaded)}.")
    os.environ.update(_ONE_THREAD)
    flags = os.environ.get("XLA_FLAGS", "")
    os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()


def set_up_jax() -> None:
    """Load JAX: float64, compiled programs kept, and calls that run in the calling thread.

    XLA hands each call to another thread otherwise: measured on the water model 70 to 110 us a
    call instead of 45 to 75 us. The peers that call JAX from Python are shown at their best.
    """
    import jax

    from qmd.forces.jax_cache import use_compilation_cache

    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_cpu_enable_async_dispatch", False)  # read at the first use of XLA only
    use_compilation_cache()


def parser(description: str, example: str, *, repeats: int) -> argparse.ArgumentParser:
    """Command line with the options that all benchmarks have."""
    made = argparse.ArgumentParser(description=description, epilog=f"Example: {example}")
    made.add_argument(
        "--repeats", type=at_least(2), default=repeats,
        help="timed rounds, each with one sample of everything (default: %(default)s)",
    )  # fmt: skip
    made.add_argument("--quick", action="store_true", help="few and short samples: a test")
    made.add_argument("--json", type=_new_file, metavar="FILE", help="write the numbers there")
    made.add_argument("--markdown", type=_new_file, metavar="FILE", help="write the table there")
    return made


def at_least(smallest: int) -> Callable[[str], int]:
    """Type of a command line option: an integer not below `smallest`."""

    def integer(text: str) -> int:
        if not text.isdecimal() or int(text) < smallest:
            raise argparse.ArgumentTypeError(f"expected at least {smallest}, got {text!r}")
        return int(text)

    return integer


def _new_file(text: str) -> Path:
    path = Path(text)
    if not path.parent.is_dir():  # said now, not after minutes of measuring
        raise argparse.ArgumentTypeError(f"there is no folder {path.parent}")
    return path


class Progress:
    """Progress on stderr: one changing line on a terminal, else a line every 10 s."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._last = time.monotonic()

    def __call__(self, text: str) -> None:
        if self._terminal:
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
        elif time.monotonic() - self._last > 10:
            self._last = time.monotonic()
            print(text, file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Remove the line from the terminal."""
        if self._terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def interleaved(
    tasks: Mapping[str, Callable[[], object]], repeats: int, progress: Progress
) -> dict[str, list[float]]:
    """Wall times (s) of the tasks, measured in turn: A B C A B C.

    A disturbance from outside falls on all of them, so that their ratios hold even where single
    times do not. One round that does not count comes first.

    Returns
    -------
    dict
        For each task its `repeats` times, in order.
    """
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for turn in range(repeats + 1):
        for name, task in tasks.items():
            progress(f"round {turn} of {repeats}: {name}" if turn else f"warming up: {name}")
            begin = time.perf_counter()
            task()
            times[name].append(time.perf_counter() - begin)
    return {name: all_of_it[1:] for name, all_of_it in times.items()}


def spread(samples: Sequence[float]) -> tuple[str, str]:
    """Median and quartiles, as cells of a table."""
    quartiles = statistics.quantiles(samples, n=4, method="inclusive")
    low, median, high = (number(q) for q in quartiles)
    return median, f"{low} to {high}"


def number(value: float) -> str:
    """Three digits, and thousands apart."""
    return f"{value:.3g}" if value < 1000 else f"{float(f'{value:.3g}'):,.0f}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first column is aligned left, the others right."""
    rule = ["---", *["--:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, rule, *rows])


def environment(packages: Sequence[str], threads: int = 1) -> dict[str, Any]:
    """Machine, its load, and versions of Python, qmd and `packages`, for the JSON report."""
    from qmd.jobs import provenance

    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    cores = {"cores": os.cpu_count(), "load_average": load, "threads_used": threads}
    return {
        "machine": provenance.machine() | cores,
        "versions": provenance.versions("jax") | {name: _version(name) for name in packages},
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def run(
    options: argparse.Namespace,
    measure: Callable[[argparse.Namespace, Progress], dict[str, Any]],
    markdown: Callable[[dict[str, Any]], str],
) -> None:
    """Measure on one thread, then print the table and write the files that `options` ask for.

    Raises
    ------
    SystemExit
        With the exit code of the `QmdError` that `measure` raised, after its line on stderr.
    """
    one_thread()
    from qmd.cli import console
    from qmd.errors import QmdError

    progress = Progress()
    try:
        result = measure(options, progress)
    except QmdError as error:
        progress.clear()
        console.error(error.message, error.hint)
        raise SystemExit(error.exit_code) from None
    progress.clear()
    text = f"{markdown(result)}\n\n{_footer(result)}\n"
    print(text, end="")
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")


def _footer(result: Mapping[str, Any]) -> str:
    machine, versions = result["machine"], result["versions"]
    load = machine["load_average"]
    return (
        f"Medians of {result['repeats']} interleaved rounds, {_threads(machine)}. "
        f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}"
        f"{'' if load is None else f', load average at the end {load:.1f}'}. "
        f"{', '.join(f'{name} {version}' for name, version in versions.items())}."
    )


def _threads(machine: Mapping[str, Any]) -> str:
    used = machine["threads_used"]
    return "one thread" if used == 1 else f"up to {used} threads"
