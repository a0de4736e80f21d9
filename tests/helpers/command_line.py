"""An input and a structure for the command line, and what it answers."""

from typing import NamedTuple

INPUT = """\
system:
  structure: water.xyz
  temperature_K: 300
potential: sivqlm-h2o
integrator:
  kind: velocity_verlet
  timestep_fs: 0.5
steps: 20
"""
WATER = "3\n\nO 0 0 0\nH 0.766 0.5985 0\nH -0.766 0.5985 0\n"


class Answer(NamedTuple):
    """Exit code and outputs of a command."""

    code: int
    out: str
    err: str


def assert_one_line(answer: Answer, code: int, *words: str) -> None:
    """The cause in one line, at most one more with advice, and nothing else."""
    assert answer.code == code, answer
    cause, *hint = answer.err.splitlines()
    assert cause.startswith("qmd: ") and len(hint) <= 1 and all(h.startswith("  ") for h in hint)
    assert all(word in answer.err for word in words), answer.err
    assert answer.out == ""
