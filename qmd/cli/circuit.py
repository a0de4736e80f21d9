"""Commands `qmd circuit ...`."""

from pathlib import Path
from typing import Annotated

import typer

from qmd.cli.common import Commands, Debug, Quiet, errors_in_one_line

circuits = typer.Typer(
    cls=Commands,
    help="Examine the circuits of potentials, and circuits by themselves.",
    epilog="Example: `qmd circuit analyze qdi`.",
    no_args_is_help=True,
)

EXAMPLES = (
    "Examples: `qmd circuit analyze qdi`, the layer between the features and the energy of a pair; "
    "`qmd circuit analyze qdi --qubits 3 --features 21 --depth 4 --no-entanglers`; `qmd circuit "
    "analyze sivqlm-h2o --layers 2,6 --json numbers.json`; `qmd circuit analyze qnn-ethanol "
    "--circuit members.1 --plots figures`. "
    "The ZX diagram needs pyzx: pip install 'qmd-dynamics[circuits]'."
)


@circuits.callback()
def group() -> None:
    """Examine the circuits of potentials, and circuits by themselves."""


@circuits.command("analyze", epilog=EXAMPLES)
def analyze_circuit(
    source: Annotated[
        str,
        typer.Argument(help="Name or path of a .qmdp; `qdi` for a quantum depth-infused layer.",
                       show_default=False),
    ],
    circuit: Annotated[
        str | None,
        typer.Option(help="Name of the circuit, if the model has several.", show_default=False),
    ] = None,
    qubits: Annotated[int, typer.Option(min=1, max=12, help="Qubits of the layer.")] = 4,
    features: Annotated[int, typer.Option(min=1, help="Features of the layer.")] = 4,
    depth: Annotated[int, typer.Option(min=1, help="Layers of each variational block.")] = 1,
    uploads: Annotated[int, typer.Option(min=1, help="Number of times features are encoded.")] = 1,
    no_entanglers: Annotated[
        bool, typer.Option("--no-entanglers", help="Leave out the CNOT gates of the layer.")
    ] = False,
    layers: Annotated[
        str | None,
        typer.Option(help="Numbers of layers to compare, such as 1,2,4; default: powers of two.",
                     show_default=False),
    ] = None,
    widths: Annotated[
        str | None,
        typer.Option(help="Numbers of qubits to compare, for the gradients, such as 2,4,6.",
                     show_default=False),
    ] = None,
    draws: Annotated[
        int,
        typer.Option(min=3, help="Random draws of the parameters; 10 times as many for gradients, "
                     "100 times as many pairs of states."),
    ] = 20,
    inputs: Annotated[int, typer.Option(min=1, help="Random inputs at each draw.")] = 5,
    data: Annotated[int, typer.Option(min=10, help="Data in the effective dimension.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draws.")] = 0,
    report: Annotated[
        Path | None,
        typer.Option(help="HTML file; default: NAME-circuit.html.", show_default=False),
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", help="File for the results as JSON.", show_default=False),
    ] = None,
    plots: Annotated[
        Path | None, typer.Option(help="Folder for the plots as PNG.", show_default=False)
    ] = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:  # fmt: skip
    """Analyse a circuit: redundancy, Fisher spectra, Fourier series, gradients, expressibility.

    Writes an HTML report. A circuit of a potential takes a minute or more.
    """
    with errors_in_one_line(debug):
        from qmd.commands import circuits as commands
        from qmd.errors import InputError
        from qmd.potentials import QDI

        try:
            named: str | QDI = source
            if source == "qdi":
                named = QDI(qubits, features, depth, not no_entanglers, uploads)
        except ValueError as error:
            raise InputError(str(error).rstrip(".").replace("`", "")) from None
        found = commands.analyze_circuit(
            named, circuit=circuit, layers=_numbers(layers, "--layers"),
            widths=_numbers(widths, "--widths"), draws=draws, inputs=inputs, data=data, seed=seed,
            report=report or True, json_file=json_file, plots=plots, progress=not quiet,
        )  # fmt: skip
        if not quiet:
            print(found.summary())


def _numbers(text: str | None, option: str) -> tuple[int, ...]:
    """Return the numbers of a list such as "1,2,4"."""
    from qmd.errors import InputError, quoted

    if text is None:
        return ()
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdigit() and int(part) > 0 for part in parts):
        raise InputError(f"{option} must be numbers such as 1,2,4, not {quoted(text)}")
    return tuple(int(part) for part in parts)
