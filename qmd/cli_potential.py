"""The commands `qmd potential ...`."""

from pathlib import Path
from typing import Annotated

import typer

from qmd.cli_common import Commands, Debug, errors_in_one_line

potentials = typer.Typer(
    cls=Commands,
    help="List, describe and examine potentials.",
    epilog="Example: `qmd potential info sivqlm-h2o`.",
    no_args_is_help=True,
)


@potentials.command("list", epilog="Example: `qmd potential list`.")
def list_potentials() -> None:
    """List the potentials that come with the program."""
    with errors_in_one_line():
        from qmd.cards import table

        print(table())


@potentials.command("info", epilog="Example: `qmd potential info sivqlm-h2o`.")
def potential_info(
    name: Annotated[str, typer.Argument(help="Name or path of a .qmdp.", show_default=False)],
    debug: Debug = False,
) -> None:
    """Show the card of a potential: circuit, training, errors, domain, citation."""
    with errors_in_one_line(debug):
        from qmd.build import load_package
        from qmd.cards import card

        print(card(load_package(name, Path())))
