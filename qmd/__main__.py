"""The command `qmd`, also as `python -m qmd`."""

import gc
import os
import sys

OBJECTS = 20_000
"""New objects after which Python looks for unreachable ones; its own 700 is for small programs.

Imports and compilers make hundreds of thousands of objects that stay, and to look through them
hundreds of times is a good part of a warm start.
"""


def main() -> None:
    """Run the command line and exit."""
    gc.set_threshold(OBJECTS)
    if sys.path and sys.path[0] == os.getcwd():  # by `python -m`: no code from the current folder
        del sys.path[0]
    from qmd.cli.app import app
    from qmd.jobs.stop import end_with_run

    end_with_run()
    app(prog_name="qmd")


if __name__ == "__main__":
    main()
