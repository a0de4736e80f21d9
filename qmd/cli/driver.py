"""Command `qmd driver`: a potential as a force provider for i-PI."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qmd.cli.common import Debug, errors_in_one_line

if TYPE_CHECKING:
    from qmd.interop.ipi_client import Client

EXAMPLES = (
    "Examples: `i-pi input.xml & qmd driver sivqlm-h2o --unix water`, with "
    "<ffsocket mode='unix'><address>water</address></ffsocket> in input.xml; "
    "`qmd driver sivqlm-h2o --port 31415`. Several drivers share the beads."
)
RETRY_S = 0.1


def driver(
    potential: Annotated[str, typer.Argument(help="Name of a potential, or a .qmdp file.",
                                             show_default=False)],
    unix: Annotated[
        str | None, typer.Option(help="Name of the unix socket of i-PI.", show_default=False)
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port, in place of a socket.",
                                 show_default=False)
    ] = None,
    host: Annotated[str, typer.Option(help="Host of the port.")] = "localhost",
    structure: Annotated[
        str | None,
        typer.Option(help="Atoms, for a potential that serves any: built-in name or file. One with "
                     "a cell makes the cell of i-PI periodic.", show_default=False),
    ] = None,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for i-PI.")] = 30.0,
    idle: Annotated[
        float,
        typer.Option(min=0, help="Seconds of silence after which to give up; 0: none."),
    ] = 3600.0,
    debug: Debug = False,
) -> None:  # fmt: skip
    """Serve forces to i-PI (path integrals, replica exchange) until it ends."""
    with errors_in_one_line(debug):
        from qmd.errors import InputError

        if (unix is None) == (port is None):
            raise InputError("give either --unix NAME or --port NUMBER, as in the input of i-PI")
        from ase import Atoms

        from qmd.commands.progress import note
        from qmd.interop.ase_calculator import QmdCalculator
        from qmd.io.structure import load_system
        from qmd.system.cell import periodic

        calculator = QmdCalculator(potential, absolute=True)
        pbc = (False, False, False)
        if structure is not None:
            system = load_system(structure, Path(), periodic=True)
            species, pbc = system.symbols, periodic(system.cell)
        elif calculator.package is not None:
            species = calculator.package.species
        else:
            raise InputError(f"{potential} is built for given atoms", "name them with --structure")
        if any(pbc) and not all(pbc):
            raise InputError(
                f"{structure} is periodic in some directions only; the cell of i-PI is in all",
                "give a structure that is periodic in all directions, or an isolated one",
            )
        atoms = Atoms(list(species), calculator=calculator, pbc=pbc)
        address = {"unixsocket": unix} if unix else {"host": host, "port": port}
        with _connect(wait, address, idle) as client:
            if not client.run(atoms):
                note("i-PI closed the connection.")


def _connect(wait_s: float, address: dict[str, Any], idle_s: float) -> "Client":
    from qmd.errors import MismatchError
    from qmd.interop.ipi_client import Client

    end = time.monotonic() + wait_s
    while True:
        try:
            return Client(**address, idle_s=idle_s)
        except OSError as error:
            if time.monotonic() > end:
                where = address.get("unixsocket") or f"{address['host']}:{address['port']}"
                raise MismatchError(
                    f"i-PI does not listen at {where}: {error.strerror or error}",
                    hint="start `i-pi input.xml` first, with the same address in its ffsocket",
                ) from None
            time.sleep(RETRY_S)
