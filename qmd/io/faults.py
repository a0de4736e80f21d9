"""Bounds of parsed data, and one line for what a schema refuses."""

from typing import Any

from pydantic import ValidationError

from qmd.errors import quoted

MAX_DEPTH = 32
"""Largest depth of lists and mappings in each other."""


def is_shallow(content: Any) -> bool:
    """Return True if lists and mappings are nested at most `MAX_DEPTH` deep."""
    level = [content]
    for _ in range(MAX_DEPTH):
        inner = (x.values() if isinstance(x, dict) else x for x in level)
        level = [x for values in inner for x in values if isinstance(x, (dict, list))]
        if not level:
            return True
    return False


def first_fault(error: ValidationError) -> str:
    """Return the place and the reason of the first fault that a schema found, on one line."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    reason = first["msg"].removeprefix("Value error, ")
    return f"{quoted(place)}: {reason}" if place else reason
