"""`qmd.analyze_circuit`: what a circuit can express, and which of its parameters count."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from qmd.analysis import circuit_report
from qmd.circuits.ansatz import Ansatz, of_instance, of_qdi
from qmd.circuits.instances import find_circuit
from qmd.circuits.study import CircuitAnalysis, Counts, analyse, as_data
from qmd.commands.progress import bars
from qmd.errors import InputError
from qmd.forces.catalogue import load_package
from qmd.io import files
from qmd.potentials import QDI
from qmd.report import page


@dataclass(frozen=True)
class CircuitResult:
    """Numbers of a circuit, and its report."""

    name: str
    report: Path | None
    """HTML file; None if none was asked for."""
    plots: tuple[Path, ...]
    """Pictures, if a folder was given for them."""
    data: Mapping[str, Any]
    """All numbers, as `qmd circuit analyze --json` writes them."""
    details: CircuitAnalysis = field(repr=False, compare=False)

    def summary(self) -> str:
        """Return a few lines, as `qmd circuit analyze` prints them."""
        text = circuit_report.summary(self.details)
        return text + (f"\nreport: {self.report}" if self.report else "")


def analyze_circuit(
    source: str | PathLike[str] | QDI,
    *,
    circuit: str | None = None,
    layers: Sequence[int] = (),
    widths: Sequence[int] = (),
    draws: int = 20,
    inputs: int = 5,
    data: int = 1000,
    seed: int = 0,
    report: str | PathLike[str] | bool = True,
    json_file: str | PathLike[str] | None = None,
    plots: str | PathLike[str] | None = None,
    progress: bool = True,
) -> CircuitResult:
    """Analyse a circuit: redundant parameters, Fisher spectra, frequencies, gradients.

    Parameters
    ----------
    source : str, path or QDI
        Name of a potential, a .qmdp file, or the circuit of a quantum depth-infused layer.
    circuit : str, optional
        Name of the circuit, if the potential has several; default: the first one.
    layers : sequence of int, optional
        Numbers of layers to compare with its own; default: 1, 2, 4, ... up to its own, and 1, 2
        and 4 for a `QDI`.
    widths : sequence of int, optional
        Numbers of qubits to compare, for the gradients; only where qubits are no atoms.
    draws : int
        Random draws of the parameters for Fisher matrices and Fourier series; ten times as many
        for gradients, a hundred times as many pairs of states.
    inputs : int
        Random inputs at each draw, for Fisher matrices.
    data : int
        Number of data in the effective dimension.
    seed : int
    report : path or bool
        HTML file to write; True: `NAME-circuit.html` here; False: none.
    json_file : path, optional
        File for the numbers.
    plots : path, optional
        Folder for the plots as PNG files.
    progress : bool
        Show a bar; see `run`.

    Returns
    -------
    CircuitResult

    Raises
    ------
    QmdError
        If there is no such circuit, or it is too large.
    """
    numbers = {"draws": (draws, 3), "inputs": (inputs, 1), "data": (data, 10), "seed": (seed, 0)}
    for name, (value, least) in numbers.items():
        if value < least:
            raise InputError(f"{name} must be {least} or more, not {value}")
    ansatz = _ansatz(source, circuit)
    if widths and ansatz.resized is None:
        raise InputError(f"the qubits of {ansatz.name} belong to atoms", "leave out the widths")
    counts = Counts(seed, draws, inputs, 10 * draws, 100 * draws, data)
    with bars(progress) as on_progress:
        try:
            found = analyse(ansatz, counts, layers, widths, on_progress)
        except ValueError as error:
            raise InputError(str(error).rstrip(".")) from None
    target = None
    if report is not False:
        target = Path(f"{_slug(ansatz.name)}-circuit.html") if report is True else Path(report)
        page.write(target, circuit_report.page(found))
    numbers_of = as_data(found)
    if json_file is not None:
        text = json.dumps(numbers_of, indent=1, allow_nan=False)
        files.write_text(Path(json_file), text + "\n")
    return CircuitResult(ansatz.name, target, _pictures(plots, found), numbers_of, found)


def _ansatz(source: str | PathLike[str] | QDI, circuit: str | None) -> Ansatz:
    if isinstance(source, QDI):
        return of_qdi(source)
    return of_instance(find_circuit(load_package(str(source), Path()), circuit))


def _pictures(folder: str | PathLike[str] | None, found: CircuitAnalysis) -> tuple[Path, ...]:
    if folder is None:
        return ()
    with files.output_errors(Path(folder)):
        Path(folder).mkdir(parents=True, exist_ok=True)
    written = []
    for name, picture in circuit_report.figures(found).items():
        written.append(Path(folder) / name)
        with files.output_errors(written[-1]):
            written[-1].write_bytes(picture)
    return tuple(written)


def _slug(name: str) -> str:
    return re.sub(r"[^a-zA-Z0-9.]+", "-", name).strip("-").lower()
