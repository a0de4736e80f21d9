"""Errors of the command line on stderr."""

import sys


def error(message: str, hint: str | None = None) -> None:
    """Print one line on stderr, and a second one with advice."""
    print(f"qmd: {message}", file=sys.stderr)
    if hint:
        print(f"     {hint}", file=sys.stderr)
