"""What qmd reads may be anything: results, or one line with a documented exit code.

Few cases here, in this process; `python tests/fuzz.py` reads ten thousand of each kind in children
whose memory and time are limited.
"""

from typing import Any

import fuzzing
import pytest
from fuzz_targets import TARGETS

from qmd.errors import CorruptError

N_CASES = {"run folders": 10, "checkpoints": 20, "packages": 20}
"""Of targets whose cases take tens of milliseconds; the others are read 50 times."""
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_odd_ends_in_one_line_or_is_harmless(target):
    ends, findings = [], []

    def take(case):
        word, finding = fuzzing.outcome(target, folder, case)
        ends.append(word)
        if finding:
            findings.append(f"{finding}\n{case!r:.1000}")

    with fuzzing.prepared(target) as folder:
        fuzzing.cases(target, folder, N_CASES.get(target, 50), 0, take)
    assert not findings, findings[0]
    assert any(word.startswith("exit code") for word in ends)  # the damage is noticed


def test_a_finding_is_found(tmp_path, monkeypatch):
    """The harness itself: each kind of finding, by harmless stand-ins."""

    class Odd(CorruptError):
        exit_code = 99

    def read(folder, case):
        if case == "file":
            (folder.parent / "outside").touch()
        elif case == "code":
            raise Odd("one line")
        elif case == "trace":
            raise KeyError("x")
        elif case == "exit":
            raise SystemExit(3)
        elif case == "refused":
            raise CorruptError("one line")

    nothing: Any = None
    odd = TARGETS["socket"].__class__(lambda folder: nothing, read)
    monkeypatch.setitem(TARGETS, "odd", odd)
    folder = tmp_path / "folder"
    folder.mkdir()
    found = {}
    for case in ("code", "trace", "exit", "refused", "read", "file"):
        found[case] = fuzzing.outcome("odd", folder, case)[1]
    assert [case for case, finding in found.items() if finding is None] == ["refused", "read"]
    assert "outside" in found["file"] and "99" in found["code"] and "KeyError" in found["trace"]


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_nothing_is_found_in_children_of_limited_memory(target):
    with fuzzing.prepared(target) as folder:
        fuzzing.warm(target, folder)
        found = fuzzing.in_child(target, folder, 250, 0)
    assert found["cases"] == 250 and not found["findings"]
