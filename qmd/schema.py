"""JSON Schema of the inputs, for editors and checkers."""

import ast
import inspect
import sys
from typing import Any

from qmd.config import Config, RunConfig


def json_schema(root: type[Config] = RunConfig) -> dict[str, Any]:
    """JSON Schema of an input; descriptions are the docstrings of the keys.

    They are read from the source here, not by pydantic when the classes are made: that would
    cost every run 40 ms.
    """
    schema = root.model_json_schema()
    docs = _key_docs(root)
    for definition in (schema, *schema.get("$defs", {}).values()):
        for key, value in definition.get("properties", {}).items():
            value["description"] = docs[definition["title"], key]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _key_docs(root: type[Config]) -> dict[tuple[str, str], str]:
    """(class, key) -> the string below the key, of every section that `root` may have."""
    sections = {cls.__module__: None for cls in Config.__subclasses__()}
    modules = sections | {root.__module__: None}
    docs = {}
    for node in [n for m in modules for n in ast.parse(inspect.getsource(sys.modules[m])).body]:
        if isinstance(node, ast.ClassDef):
            for line, below in zip(node.body, node.body[1:], strict=False):
                if isinstance(line, ast.AnnAssign) and isinstance(below, ast.Expr):
                    assert isinstance(line.target, ast.Name)
                    assert isinstance(below.value, ast.Constant)
                    docs[node.name, line.target.id] = str(below.value.value)
    return docs
