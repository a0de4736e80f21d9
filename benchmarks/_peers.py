"""Peers of the benchmarks in processes of their own, in environments that have them."""

import json
import subprocess
from pathlib import Path
from typing import Any


class Peer:
    """A peer in a process of its own, which answers a number of steps, or calls, by seconds.

    Parameters
    ----------
    python : str
        Interpreter of the environment that has the peer.
    script : str
        File beside this one. It prints a line of JSON when it is ready, with `missing` if it cannot
        run there, and after each number that it reads one with `seconds`.
    *arguments : str or Path
        Of the script.

    Raises
    ------
    OSError, RuntimeError
        If it does not start.
    """

    def __init__(self, python: str, script: str, *arguments: str | Path) -> None:
        self._process = subprocess.Popen(
            [python, str(Path(__file__).parent / script), *map(str, arguments)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            self.first = self._answer()
        except RuntimeError:
            self.close()
            raise

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                answer: dict[str, Any] = json.loads(line)
                return answer
        raise RuntimeError("the peer ended")

    def advance(self, steps: int) -> float:
        """Make steps, or calls; return the seconds."""
        return float(self.answer(steps)["seconds"])

    def answer(self, steps: int) -> dict[str, Any]:
        """Make steps, or calls; return all that the script says of them."""
        assert self._process.stdin is not None
        print(steps, file=self._process.stdin, flush=True)
        return self._answer()

    def close(self) -> None:
        """End the process."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._process.wait()
