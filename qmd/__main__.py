"""The command `qmd`, also as `python -m qmd`."""

from qmd.cli.app import app
from qmd.jobs.stop import end_with_run


def main() -> None:
    """Run the command line and exit."""
    end_with_run()
    app(prog_name="qmd")


if __name__ == "__main__":
    main()
