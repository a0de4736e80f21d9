"""All analyses of one circuit, against its layers and qubits."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from qmd.circuits.ansatz import Ansatz
from qmd.circuits.draws import Estimate
from qmd.circuits.expressibility import Expressibility, expressibility
from qmd.circuits.fisher import FisherInformation, fisher
from qmd.circuits.fourier import FourierSpectrum, fourier
from qmd.circuits.gradients import GradientVariance, gradient_variance
from qmd.circuits.redundancy import Redundancy, redundancy, why_not

OnProgress = Callable[[str, int, int], None]
ACTIVITY = "analyses"


@dataclass(frozen=True)
class Counts:
    """Numbers of random draws, and their seed."""

    seed: int
    draws: int
    """Draws of the parameters for Fisher matrices and Fourier series."""
    inputs: int
    """Inputs at each of these draws, for Fisher matrices."""
    gradients: int
    """Draws for the variance of gradients."""
    pairs: int
    """Pairs of states for the expressibility."""
    data: int
    """Data in the effective dimension."""


@dataclass(frozen=True)
class CircuitAnalysis:
    """Analyses of one circuit; the last of several numbers of layers is its own."""

    name: str
    n_qubits: int
    n_layers: int
    n_parameters: int
    n_inputs: int
    counts: Counts
    redundancy: tuple[Redundancy, ...]
    no_redundancy: str
    """Reason why the ZX rules were not used, if there is one."""
    fisher: tuple[FisherInformation, ...]
    fisher_trained: FisherInformation | None
    """At the trained parameters of the package."""
    fourier: FourierSpectrum
    gradients: tuple[GradientVariance, ...]
    expressibility: tuple[Expressibility, ...]


def analyse(
    ansatz: Ansatz,
    counts: Counts,
    layers: Sequence[int] = (),
    widths: Sequence[int] = (),
    on_progress: OnProgress = lambda activity, done, total: None,
) -> CircuitAnalysis:
    """Analyse a circuit.

    Parameters
    ----------
    ansatz : Ansatz
    counts : Counts
    layers : sequence of int, optional
        Numbers of layers to compare with its own; default: those of the ansatz.
    widths : sequence of int, optional
        Numbers of qubits to compare with its own, for the variance of gradients; default: those
        of the ansatz.
    on_progress : callable
        Takes the activity, the number done and the total.
    """
    tried = sorted({*layers, ansatz.n_layers}) if layers else ansatz.layers
    ordered = [n for n in tried if n != ansatz.n_layers] + [ansatz.n_layers]
    whole = ansatz.program(ansatz.n_layers)
    sizes: list[tuple[int | None, int]] = [(None, n) for n in ordered]
    if ansatz.resized is not None:
        tried_widths = sorted({*(widths or ansatz.widths), whole.n_qubits})
        sizes = [(w, n) for w in tried_widths for n in ordered]
    reason, seed = why_not(whole), counts.seed
    steps = _Steps(on_progress, 3 * len(ordered) + len(sizes) + 2)

    def fisher_of(n: int, at: Any = None) -> FisherInformation:
        return fisher(
            ansatz.program(n), n, n_draws=counts.draws, n_inputs=counts.inputs,
            n_data=counts.data, seed=seed, at=at, on_progress=steps.within,
        )  # fmt: skip

    def gradients_of(width: int | None, n: int) -> GradientVariance:
        program = ansatz.program(n)
        if width is not None and ansatz.resized is not None:
            program = ansatz.resized(width, n)
        return gradient_variance(program, n, n_draws=counts.gradients, seed=seed)

    spectra = tuple(steps.done(fisher_of(n)) for n in ordered)
    trained = None
    if ansatz.trained is not None:
        trained = fisher_of(ansatz.n_layers, ansatz.trained)
    return CircuitAnalysis(
        name=ansatz.name,
        n_qubits=whole.n_qubits,
        n_layers=ansatz.n_layers,
        n_parameters=whole.n_parameters,
        n_inputs=whole.n_inputs,
        counts=counts,
        fisher=spectra,
        fisher_trained=steps.done(trained),
        redundancy=() if reason else tuple(
            steps.done(redundancy(ansatz.program(n), n)) for n in ordered
        ),
        no_redundancy=reason,
        fourier=steps.done(
            fourier(whole, n_draws=counts.draws, seed=seed, on_progress=steps.within)
        ),
        gradients=tuple(steps.done(gradients_of(*size)) for size in sizes),
        expressibility=tuple(
            steps.done(expressibility(ansatz.program(n), n, n_pairs=counts.pairs, seed=seed))
            for n in ordered
        ),
    )  # fmt: skip


class _Steps:
    """Progress over analyses of about the same length."""

    PARTS = 100

    def __init__(self, on_progress: OnProgress, total: int) -> None:
        self._show, self._done, self._total = on_progress, 0, total

    def within(self, done: int, total: int) -> None:
        part = self.PARTS * done // total
        self._show(ACTIVITY, self.PARTS * self._done + part, self.PARTS * self._total)

    def done(self, result: Any) -> Any:
        """Count an analysis, and return its result."""
        self._done = min(self._done + 1, self._total)
        self.within(0, 1)
        return result


def as_data(value: Any) -> Any:
    """Return plain values for JSON; an estimate has `value` and `error`."""
    if isinstance(value, Estimate):
        return value._asdict()
    if is_dataclass(value):
        return {f.name: as_data(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, (tuple, list)):
        return [as_data(item) for item in value]
    return value
