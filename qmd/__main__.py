"""The command `qmd`, also as `python -m qmd`."""

import os
import sys


def main() -> None:
    """Run the command line and exit."""
    if sys.path and sys.path[0] == os.getcwd():  # by `python -m`: no code from the current folder
        del sys.path[0]
    from qmd.cli.app import app
    from qmd.jobs.stop import end_with_run

    end_with_run()
    app(prog_name="qmd")


if __name__ == "__main__":
    main()
