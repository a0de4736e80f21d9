"""Docstrings are sentences: few begin with a word that leaves them hanging in the air."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
RIDDLES = {"What", "Of", "Whether", "Where", "How", "As", "That"}
MAX_RIDDLES = 20


def docstrings(tree: ast.AST) -> Iterator[str]:
    """Yield every string that is a statement: docstrings, and those below attributes."""
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant(value=str(text))):
                yield text


def test_attribute_docstrings_are_found() -> None:
    source = '"""Of a module."""\nx = 1\n"""What x is."""\nclass A:\n    y: int\n    """How y."""\n'
    assert set(docstrings(ast.parse(source))) == {"Of a module.", "What x is.", "How y."}


def test_few_docstrings_begin_with_a_riddle() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {text.splitlines()[0]}"
        for folder in ("qmd", "integrators", "potentials")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for text in docstrings(ast.parse(path.read_text()))
        if text.split()[0].rstrip(",.:;") in RIDDLES
    ]
    assert len(found) <= MAX_RIDDLES, "\n".join(found)
