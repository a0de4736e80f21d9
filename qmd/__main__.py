"""The command `qmd`, also as `python -m qmd`."""

from qmd.cli import app
from qmd.signals import end_with_run


def main() -> None:
    """Run the command line and exit."""
    end_with_run()
    app(prog_name="qmd")


if __name__ == "__main__":
    main()
