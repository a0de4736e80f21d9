"""JSON Schema of the inputs, for editors and checkers."""

import ast
import inspect
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from qmd.config.base import Config


def json_schema(root: type[Config]) -> dict[str, Any]:
    """Return the JSON Schema of an input; descriptions are the docstrings of the keys.

    The docstrings are read from the source here, and not by pydantic when the classes are created,
    which would cost every run 40 ms.
    """
    schema = root.model_json_schema()
    classes = {cls.__name__: cls for cls in _subclasses(Config)}
    docs = _key_docs({cls.__module__ for cls in classes.values()})
    for definition in (schema, *schema.get("$defs", {}).values()):
        bases = [base.__name__ for base in classes[definition["title"]].__mro__]
        for key, value in definition.get("properties", {}).items():
            value["description"] = next(docs[b, key] for b in bases if (b, key) in docs)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _subclasses(base: type[Config]) -> Iterator[type[Config]]:
    for cls in base.__subclasses__():
        yield cls
        yield from _subclasses(cls)


def _key_docs(modules: Iterable[str]) -> dict[tuple[str, str], str]:
    """Return the docstring of each (class, key) of the sections in `modules`."""
    docs = {}
    for node in [n for m in modules for n in ast.parse(inspect.getsource(sys.modules[m])).body]:
        if isinstance(node, ast.ClassDef):
            for line, below in zip(node.body, node.body[1:], strict=False):
                if isinstance(line, ast.AnnAssign) and isinstance(below, ast.Expr):
                    assert isinstance(line.target, ast.Name)
                    assert isinstance(below.value, ast.Constant)
                    docs[node.name, line.target.id] = str(below.value.value)
    return docs
