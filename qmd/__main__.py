"""`python -m qmd`."""

from qmd.cli import app

app(prog_name="qmd")
