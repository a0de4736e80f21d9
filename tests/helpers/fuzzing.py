"""Run cases of a target in limited children, and say what none of them may do."""

import json
import mmap
import os
import resource
import signal
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fuzz_targets import TARGETS, stand_ins
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import lists

from qmd.errors import OutOfMemoryError, QmdError

CASE_S = 10
"""Longest time of one case, of this process alone: other processes take time, too."""
MEMORY = 2**30
"""Bytes that a child may take beyond those of its parent."""
AT_ONCE = 10
"""Cases of one example of hypothesis, which takes longer to make than most of them."""
CODES = {2, 3, 4, 5, 6, 75}
"""Exit codes of errors that are documented."""


class Hang(BaseException):
    """A case took longer than `CASE_S`."""


def outcome(target: str, folder: Path, case: Any) -> tuple[str, str | None]:
    """Read one case; return a word for its end, and a line if it is a finding."""
    before = _files(folder.parent)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)  # NumPy's would be further lines
            TARGETS[target].read(folder, case)
        word, finding = "read", None
    except OutOfMemoryError as error:
        word, finding = "memory", f"more memory than {MEMORY} bytes: {error.message}"
    except QmdError as error:
        word, finding = f"exit code {error.exit_code}", None
        if error.exit_code not in CODES:
            finding = f"exit code {error.exit_code}: {error.message}"
        elif not (error.message.isprintable() and (error.hint or "").isprintable()):
            finding = f"a message of several lines, or with control characters: {error.message!r}"
    except Hang:
        word, finding = "hang", f"longer than {CASE_S} s:\n{traceback.format_exc()[-1500:]}"
    except (Exception, SystemExit) as error:
        word, finding = type(error).__name__, traceback.format_exc()[-1500:]
    if new := _files(folder.parent) - before:
        finding = f"files outside its folder: {sorted(new)}"
    return word, finding


def _files(folder: Path) -> set[str]:
    return {entry.name for entry in os.scandir(folder)}


@contextmanager
def prepared(target: str) -> Iterator[Path]:
    """A folder, alone in a temporary one, with whole files of the target; the current folder."""
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as outside, stand_ins():
        folder = Path(outside, "folder")
        folder.mkdir()
        os.chdir(folder)
        try:
            TARGETS[target].prepare(folder)
            yield folder
        finally:
            os.chdir(here)


def cases(target: str, folder: Path, number: int, first: int, take: Callable[[Any], None]) -> None:
    """Give `number` cases to `take`; the same seed, the same cases."""
    some = lists(TARGETS[target].cases(folder), min_size=AT_ONCE, max_size=AT_ONCE)
    left = number

    @seed(first)
    @settings(
        max_examples=-(-number // AT_ONCE), database=None, deadline=None, phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(some)
    def each(drawn: list[Any]) -> None:
        nonlocal left
        for case in drawn[:left]:
            left -= 1
            take(case)

    each()


def warm(target: str, folder: Path) -> None:
    """Read what is whole, and make some cases, so that no child has to import and compile."""
    TARGETS[target].warm(folder)
    cases(target, folder, 20 * AT_ONCE, 0, lambda case: None)


def in_child(target: str, folder: Path, number: int, first: int) -> dict[str, Any]:
    """Read cases in a child of limited memory; return counts of their ends, and the findings.

    The child is killed if a case takes six times `CASE_S` in all: it waits, or it is in a
    call that no signal interrupts.
    """
    shared = mmap.mmap(-1, 16)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        with suppress(BaseException):
            _be_child(target, folder, number, first, shared, writing)
        os._exit(1)
    os.close(writing)
    killer = _watch(child, shared)
    with open(reading, encoding="utf-8") as pipe:
        text = pipe.read()
    os.kill(killer, signal.SIGKILL)
    os.waitpid(killer, 0)
    _, status, used = os.wait4(child, 0)
    done = int.from_bytes(shared[:8], "little")
    if not text:
        code = os.waitstatus_to_exitcode(status)
        reason = f"seed {first}, case {done}: the child ended with {code}"
        return {"cases": done, "ends": {"signal": 1}, "findings": [reason], "peak_MB": 0}
    return json.loads(text) | {"peak_MB": used.ru_maxrss // 1024}


def _watch(child: int, shared: mmap.mmap) -> int:
    """Start a process that kills `child` when it does not go on."""
    watcher = os.fork()
    if watcher:
        return watcher
    last, since = -1, time.monotonic()
    while True:
        time.sleep(1)
        done = int.from_bytes(shared[:8], "little")
        if done != last:
            last, since = done, time.monotonic()
        elif time.monotonic() - since > 6 * CASE_S:
            with suppress(OSError):
                os.kill(child, signal.SIGKILL)
            os._exit(0)


def _be_child(
    target: str, folder: Path, number: int, first: int, shared: mmap.mmap, output: int
) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)

    def ring(*_: Any) -> None:
        raise Hang

    signal.signal(signal.SIGPROF, ring)
    ends, findings, done = Counter[str](), [], 0

    def take(case: Any) -> None:
        nonlocal done
        signal.setitimer(signal.ITIMER_PROF, CASE_S)
        try:
            word, finding = outcome(target, folder, case)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        ends[word] += 1
        if finding:
            findings.append(f"seed {first}, case {done}: {finding}\n{case!r:.1500}")
        done += 1
        shared[:8] = done.to_bytes(8, "little")

    cases(target, folder, number, first, take)
    result = {"cases": done, "ends": ends, "findings": findings}
    with open(output, "w", encoding="utf-8") as pipe:
        json.dump(result, pipe)
    os._exit(0)
