"""Break qmd in one place after the other, and see whether a test turns red.

    python tests/mutation.py                       # every mutant of tests/mutants.py, one by one
    python tests/mutation.py --only units io       # those of two groups, or by name
    python tests/mutation.py --json result.json    # write results there, and go on where they end
    python tests/mutation.py --json result.json --table   # put them into docs/reliability.md, too

Each mutant changes one text of one file in a copy of this checkout, in a temporary folder with
compiled kernels of its own. The tests that cover it run first, up to the first failure; with
``--all``, those that survive meet the whole default run as well. Before anything is broken, the
covering tests must pass in the copy as it is. Exit code 1: a mutant survived, or was not tried.

A result is kept for as long as the mutant, its file and its tests stay what they are. Where two
processes share a machine, ``--part 1/2`` and ``--part 2/2`` with a JSON file each divide the work.
"""

import argparse
import contextlib
import datetime
import hashlib
import importlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from mutants import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- mutants: begin -->\n", "<!-- mutants: end -->\n"
SEED = 0
"""Of tests that draw their cases; the others have seeds of their own."""
LIMIT_S = 1800
"""Seconds after which the tests of a mutant have not ended: that they hang is a failure, too."""
ALL_LIMIT_S = 3 * 3600
CAUGHT, SURVIVED, BROKEN = "caught", "survived", "broken"
PRELOADED = "pytest", "numba", "jax", "scipy.signal", "netCDF4", "pydantic", "ase.data", "typer"
COMPILED = ("integrators/", "potentials/")
"""A change below these makes all kernels compile again."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # mends and clears
    chosen = choose(MUTANTS, options.only, options.part)
    results = read(options.json)
    if not options.table or options.only or options.all:
        results = try_all(chosen, results, options)
    if options.table:
        PAGE.write_text(with_table(PAGE.read_text(), table(MUTANTS, results)))
    missing = [m.name for m in chosen if results.get(m.name, {}).get("outcome") != CAUGHT]
    counts = Counter(results.get(m.name, {}).get("outcome", "not tried") for m in chosen)
    print(", ".join(f"{n} {outcome}" for outcome, n in counts.items()), *missing, sep="\n  ")
    return 1 if missing else 0


def _parser() -> argparse.ArgumentParser:
    head, _, rest = str(__doc__).partition("\n")
    parser = argparse.ArgumentParser(
        description=head, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", default=[], help="groups or names of mutants")
    parser.add_argument("--part", default="1/1", help="k/n: every n-th mutant, from the k-th on")
    parser.add_argument("--all", action="store_true", help="survivors meet the whole default run")
    parser.add_argument("--json", type=Path, help="file of results, to write and to go on from")
    parser.add_argument("--table", action="store_true", help="write the table in docs, try nothing")
    parser.add_argument("--keep", action="store_true", help="try again what has a result")
    return parser


def choose(mutants: Sequence[Mutant], only: Sequence[str], part: str) -> list[Mutant]:
    """Return the mutants of some groups or names, and of those one part of several."""
    wrong = [m.name for m in mutants if not fits(m, (ROOT / m.file).read_text())]
    if wrong:
        raise SystemExit(f"tests/mutants.py quotes what its file has not once: {', '.join(wrong)}")
    unknown = set(only) - {m.group for m in mutants} - {m.name for m in mutants}
    if unknown:
        raise SystemExit(f"no group or name of a mutant: {', '.join(sorted(unknown))}")
    k, n = map(int, part.split("/"))
    return [m for m in mutants if not only or {m.group, m.name} & set(only)][k - 1 :: n]


def read(path: Path | None) -> dict[str, Any]:
    """Return the results of earlier calls, by the name of the mutant."""
    return json.loads(path.read_text()) if path is not None and path.exists() else {}


def write(path: Path | None, results: dict[str, Any]) -> None:
    """Write the results; a killed process leaves the old file or the new one."""
    if path is not None:
        new = path.with_name(path.name + ".tmp")
        new.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
        new.replace(path)


def try_all(chosen: Sequence[Mutant], results: dict[str, Any], options: Any) -> dict[str, Any]:
    """Try the mutants that have no valid result, and return all results."""
    due = [m for m in chosen if options.keep or not is_valid(results.get(m.name), m)]
    if not due:
        return results
    preload()
    with tempfile.TemporaryDirectory(prefix="qmd-mutation-") as folder:
        copy = Copy(Path(folder))
        tests = list(dict.fromkeys(test for m in due for test in m.tests))
        print(f"{len(due)} mutants; {len(tests)} tests without any of them ...", flush=True)
        code, output, seconds = copy.test(tests, LIMIT_S, copy.kernels)
        if code:
            raise SystemExit(f"the tests fail without a mutant:\n{output}")
        print(f"  pass in {seconds:.0f} s", flush=True)
        for number, mutant in enumerate(due, 1):
            result = copy.judge(mutant, everything=options.all)
            results = read(options.json) | results | {mutant.name: result}
            write(options.json, results)
            line = f"{number:3}/{len(due)} {result['outcome']:8} {result['seconds']:5.0f} s"
            print(f"{line}  {mutant.group}: {mutant.name}", flush=True)
    return results


def digest(mutant: Mutant, root: Path) -> str:
    """Digest of a mutant, its file and the files of its tests: what its result rests on."""
    files = sorted({mutant.file, *(test.partition("::")[0] for test in mutant.tests)})
    texts = [repr(mutant), *((root / file).read_text() for file in files)]
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


def is_valid(result: dict[str, Any] | None, mutant: Mutant) -> bool:
    """Return True if a result is of this mutant, its file and its tests as they are now."""
    return result is not None and result["digest"] == digest(mutant, ROOT)


class Copy:
    """A copy of the checkout that can be broken and mended again."""

    def __init__(self, folder: Path) -> None:
        self.root, self.kernels, self._folder = folder / "qmd", folder / "kernels", folder
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                target = self.root / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, target)

    def judge(self, mutant: Mutant, *, everything: bool) -> dict[str, Any]:
        """Break the copy, run the tests, mend it; return what came of it."""
        # Kernels that were compiled from broken sources are of no use to anybody.
        fresh, known = self._folder / "broken-kernels", digest(mutant, self.root)
        kernels = fresh if mutant.file.startswith(COMPILED) else self.kernels
        with self._broken(mutant):
            code, output, seconds = self.test(mutant.tests, LIMIT_S, kernels)
            if code == 0 and everything:
                code, output, more = self.test([], ALL_LIMIT_S, kernels)
                seconds += more
        shutil.rmtree(fresh, ignore_errors=True)
        outcomes = {0: SURVIVED, 1: CAUGHT, None: CAUGHT}  # None: they did not end
        failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", output, re.M)
        return {
            "outcome": outcomes.get(code, BROKEN),
            "by": "time limit" if code is None else failed[0] if failed else "",
            "seconds": round(seconds, 1),
            "date": datetime.date.today().isoformat(),
            "digest": known,
        }

    @contextlib.contextmanager
    def _broken(self, mutant: Mutant) -> Iterator[None]:
        file = self.root / mutant.file
        kept = self._folder / "kept"
        shutil.copy2(file, kept)
        file.write_text(file.read_text().replace(mutant.old, mutant.new))
        try:
            yield
        finally:
            shutil.copy2(kept, file)

    def test(
        self, tests: Sequence[str], limit_s: float, kernels: Path
    ) -> tuple[int | None, str, float]:
        """Run tests, all by default; exit code (None beyond the limit), output, seconds."""
        # In one process, in the order given: a default run has two, which would not stop at once.
        arguments = [
            "-q", "-x", "-rfE", "--tb=line", f"--hypothesis-seed={SEED}", "-p", "no:xdist",
            "-o", "addopts=--import-mode=importlib -m 'not physics and not slow'", *tests,
        ]  # fmt: skip
        begin, output = time.monotonic(), self._folder / "output"
        child = os.fork()
        if child == 0:
            self._become_pytest(arguments, kernels, output)
        code = ended(child, limit_s)
        return code, output.read_text(errors="replace"), time.monotonic() - begin

    def _become_pytest(self, arguments: list[str], kernels: Path, output: Path) -> NoReturn:
        """Run pytest on the copy in this process, of whose modules none is of the checkout."""
        code = 3
        try:
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.chdir(self.root)
            with output.open("w") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
            # Without files of bytecode: those of equal size and second would be mistaken.
            sys.dont_write_bytecode = True
            os.environ |= {
                "PYTHONPATH": str(self.root), "PYTHONDONTWRITEBYTECODE": "1",
                "NUMBA_CACHE_DIR": str(kernels),
            }  # fmt: skip
            sys.path[:1] = [str(self.root)]
            import numba
            import pytest

            numba.config.reload_config()
            code = int(pytest.main(arguments))
            import qmd

            if not str(qmd.__file__).startswith(str(self.root)):
                print(f"{qmd.__file__} is not of the copy")
                code = 3
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)


def preload() -> None:
    """Import what every test needs and nobody breaks: a fork has it at once."""
    # As tests/conftest.py, which comes too late for this.
    os.environ |= {
        "JAX_ENABLE_X64": "true", "JAX_NUMPY_DTYPE_PROMOTION": "strict",
        "JAX_NUMPY_RANK_PROMOTION": "raise",
    }  # fmt: skip
    warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)  # JAX runs nothing here
    for name in PRELOADED:
        importlib.import_module(name)


def ended(child: int, limit_s: float) -> int | None:
    """Wait for a process that leads a group; its exit code, None if the limit ended the group."""
    end = time.monotonic() + limit_s
    try:
        while os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            if time.monotonic() > end:
                return None
            time.sleep(0.05)
    finally:  # whatever the tests have started ends with them
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def fits(mutant: Mutant, text: str) -> bool:
    """Return True if the text of its file has the old text once, and the new one differs."""
    return text.count(mutant.old) == 1 and mutant.old != mutant.new


def table(mutants: Sequence[Mutant], results: dict[str, Any]) -> str:
    """Return the section of the page: counts of each group, then each mutant with its test."""
    tried = [results[m.name] for m in mutants if m.name in results]
    dates = sorted({result["date"] for result in tried}) or ["never"]
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    counts = Counter(result["outcome"] for result in tried)
    minutes = sum(result["seconds"] for result in tried) / 60
    lines = [
        f"{counts[CAUGHT]} of {len(mutants)} mutants caught, {counts[SURVIVED]} survived, "
        f"{len(mutants) - counts[CAUGHT] - counts[SURVIVED]} not tried; {when}, "
        f"`--hypothesis-seed={SEED}`, {minutes:.0f} minutes in one process.",
        "", "| group | mutants | caught |", "|---|---:|---:|",
    ]  # fmt: skip
    for group in dict.fromkeys(m.group for m in mutants):
        names = [m.name for m in mutants if m.group == group]
        caught = sum(results.get(name, {}).get("outcome") == CAUGHT for name in names)
        lines.append(f"| {group} | {len(names)} | {caught} |")
    lines += ["", "| group | change | file | caught by |", "|---|---|---|---|"]
    for m in mutants:
        result = results.get(m.name, {})
        by = result.get("by", "").partition("::")[2] or result.get("outcome", "not tried")
        lines.append(f"| {m.group} | {m.name} | `{m.file}` | `{by.partition('[')[0]}` |")
    return "\n".join(lines) + "\n"


def with_table(page: str, text: str) -> str:
    """Return the page with `text` between the marks."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"{PAGE} has no marks {BEGIN.strip()} and {END.strip()}")
    return f"{before}{begin}\n{text}\n{end}{after}"


if __name__ == "__main__":
    sys.exit(main())
