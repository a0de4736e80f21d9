"""The list of mutants fits the program: each can be made, and the tests that it names exist."""

import ast
import sys
from collections import Counter
from pathlib import Path
from typing import TypeGuard

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests"))

from mutants import MUTANTS  # noqa: E402


def test_each_mutant_changes_one_text_and_names_tests_that_exist() -> None:
    texts = {file: (ROOT / file).read_text() for file in {m.file for m in MUTANTS}}
    wrong = [m.name for m in MUTANTS if texts[m.file].count(m.old) != 1 or m.old == m.new]
    assert wrong == [], "tests/mutants.py: give each of these the present text"
    for node in {test for m in MUTANTS for test in m.tests}:
        file, _, name = node.partition("[")[0].partition("::")
        functions = [f for f in ast.parse((ROOT / file).read_text()).body if is_test(f)]
        assert not name or name in {f.name for f in functions}, node
        chosen = [f for f in functions if not name or f.name == name]
        assert not all(is_long(f) for f in chosen), f"{node} is no part of the default run"


def is_test(node: ast.stmt) -> TypeGuard[ast.FunctionDef]:
    return isinstance(node, ast.FunctionDef) and node.name.startswith("test_")


def is_long(test: ast.FunctionDef) -> bool:
    return any(
        ast.unparse(d) in ("pytest.mark.slow", "pytest.mark.physics") for d in test.decorator_list
    )


def test_there_are_seventy_and_each_has_a_name_of_its_own() -> None:
    assert len(MUTANTS) >= 70 and all(m.tests for m in MUTANTS)
    assert Counter(m.name for m in MUTANTS).most_common(1)[0][1] == 1
