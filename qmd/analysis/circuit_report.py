"""Report of `qmd circuit analyze`."""

from typing import Any

import numpy as np

from qmd.circuits.draws import Estimate
from qmd.circuits.expressibility import BINS
from qmd.circuits.fisher import NEAR_ZERO, FisherInformation
from qmd.circuits.fourier import LEVELS
from qmd.circuits.study import CircuitAnalysis
from qmd.report.figures import COLOURS, STYLES, legend, png
from qmd.report.page import Figure, Page, Section, Table


def page(found: CircuitAnalysis) -> Page:
    """Return the report of a circuit: redundancy, Fisher, Fourier, gradients, expressibility."""
    c = found.counts
    lead = (
        f"{found.n_qubits} qubits, {found.n_layers} layers, {found.n_parameters} trained "
        f"parameters, {found.n_inputs} inputs. Random draws: seed {c.seed}; {c.draws} of the "
        f"parameters, with {c.inputs} inputs each, for Fisher matrices, and {c.draws} for Fourier "
        f"series; {c.gradients} for gradients; {c.pairs} pairs of states. Parameters are uniform "
        "over their periods. Errors are standard errors over the draws."
    )
    parts = _redundancy(found), _fisher(found), _fourier(found), _gradients(found), _haar(found)
    return Page(f"Circuit {found.name}", lead, sections=parts)


def figures(found: CircuitAnalysis) -> dict[str, bytes]:
    """Return the plots by the names of their files."""
    names = "redundancy", "fisher", "fourier", "gradients", "expressibility"
    sections = page(found).sections
    return {
        f"{name}.png": figure.png
        for name, section in zip(names, sections, strict=True)
        for figure in section.figures
    }


def _redundancy(found: CircuitAnalysis) -> Section:
    title = "Redundancy"
    if found.no_redundancy:
        return Section(title, f"Not simplified by ZX rules: {found.no_redundancy}.")
    rows = tuple(
        (f"{r.n_layers}", f"{r.n_parameters}", f"{r.kept} ({100 * r.share:.0f} %)",
         f"{r.kept_on_zero}", f"{r.rotations}", f"{r.phases}", f"{r.phases_on_zero}")
        for r in found.redundancy
    )  # fmt: skip
    head = ("layers", "parameters", "kept", "kept on |0>", "rotations", "phases left",
            "left on |0>")  # fmt: skip
    text = (
        "Parameters that survive the simplification of the ZX diagram by pyzx: with open inputs "
        "the circuit has to stay the same operation, on |0...0> the same state."
    )
    return Section(title, text, Table(head, rows))


def _fisher(found: CircuitAnalysis) -> Section:
    rows = [_fisher_row(f, f"{f.n_layers}") for f in found.fisher]
    if found.fisher_trained is not None:
        rows.append(_fisher_row(found.fisher_trained, f"{found.n_layers}, trained"))
    head = ("layers", "parameters", "rank, quantum", "at one input", "near zero",
            "effective dimension", "rank, classical", "near zero",
            "effective dimension")  # fmt: skip
    last = found.fisher[-1]

    def draw(left: Any, right: Any) -> None:
        for k, (name, s) in enumerate((("quantum", last.quantum), ("classical", last.classical))):
            values = np.array(s.eigenvalues)
            kept = values > 1e-12 * values[0]
            at = np.arange(1, len(values) + 1)
            left.semilogy(at[kept], values[kept], "os"[k], color=COLOURS[k], ms=3, label=name)
        left.set(xlabel="eigenvalue", ylabel="Fisher information (1/rad^2)")
        legend(left)
        layers = [f.n_layers for f in found.fisher]
        many = [f.n_parameters for f in found.fisher]
        order = np.argsort(layers)
        right.plot(
            np.array(layers)[order], np.array(many)[order], ":", color="grey", label="parameters"
        )
        for k, name in enumerate(("quantum", "classical")):
            ranks = [getattr(f, name).rank for f in found.fisher]
            _bars(right, layers, ranks, k, f"rank, {name}")
        right.set(xlabel="layers", ylabel="independent parameters", xticks=layers)
        legend(right)

    text = (
        f"Near zero: the share of eigenvalues below {100 * NEAR_ZERO:g} % of the largest. The "
        f"effective dimension is that of Abbas et al. for {found.counts.data} data. The rank "
        "of the quantum matrix at one input is the number of directions in which the state moves; "
        "the others are means over inputs, where different inputs tell more parameters apart."
        + "".join(f" {line}." for line in _limits(found))
    )
    caption = "Mean eigenvalues of the Fisher matrices, and their ranks against layers."
    figure = Figure(png(draw, columns=2), caption)
    return Section("Fisher information", text, Table(head, tuple(rows)), (figure,))


def _limits(found: CircuitAnalysis) -> list[str]:
    """Return a warning for each rank that more inputs would raise."""
    return [
        f"The rank with {f.n_layers} layers may be larger: {f.n_inputs} inputs cannot give more"
        for f in found.fisher
        if f.n_inputs * f.quantum_at_one_input <= f.quantum.largest_rank < f.n_parameters
    ]


def _fisher_row(f: FisherInformation, layers: str) -> tuple[str, ...]:
    q, c = f.quantum, f.classical
    return (
        layers, f"{f.n_parameters}", _short(q.rank), f"{f.quantum_at_one_input}",
        _percent(q.near_zero), _short(q.effective_dimension), _short(c.rank),
        _percent(c.near_zero), _short(c.effective_dimension),
    )  # fmt: skip


def _fourier(found: CircuitAnalysis) -> Section:
    f = found.fourier
    share = 100 * f.non_zero_terms / f.accessible_terms
    rows = [
        ("largest frequencies", _runs(f.degrees)),
        ("frequency vectors that are accessible", f"{f.accessible_vectors}"),
        ("terms that are accessible", f"{f.accessible_terms}"),
        ("terms that are not zero", f"{f.non_zero_terms} ({share:.0f} %)"),
        ("vectors that are not zero, by observable", _runs(f.of_observables)),
    ]
    rows += [(f"terms of one observable above {level:g}", _short(many)) for level, many in f.above]

    def draw(left: Any, right: Any) -> None:
        sizes = np.array(f.size)
        kept = sizes > 1e-15
        left.semilogy(np.arange(len(sizes))[kept], sizes[kept], "o", color=COLOURS[0], ms=3)
        left.set(xlabel="sum of the frequencies", ylabel="coefficient, rms")
        _bars(right, list(LEVELS), [many for _, many in f.above], 0, "one observable")
        right.axhline(f.accessible_terms, color="grey", linestyle=":", label="accessible")
        right.set(xlabel="level", ylabel="terms above it", xscale="log")
        legend(right)

    how = (
        f"All inputs are scaled together, because their {f.all_vectors:.3g} frequency vectors are "
        "too many for one transform. " if f.together else ""
    )  # fmt: skip
    text = how + (
        "Each expectation value is a Fourier series in the inputs. Terms are cosines and sines of "
        "all frequency vectors, w and -w counted as two: 2 n - 1 for n vectors. Coefficients are "
        f"relative to the largest value of the observable; {f.n_draws} draws."
    )
    caption = "Size of the coefficients, and number of terms above a level."
    figure = Figure(png(draw, columns=2), caption)
    return Section("Fourier spectrum", text, Table(("quantity", "value"), tuple(rows)), (figure,))


def _gradients(found: CircuitAnalysis) -> Section:
    rows = tuple(
        (f"{g.n_qubits}", f"{g.n_layers}", f"{g.n_parameters}", str(g.mean), str(g.largest))
        for g in found.gradients
    )
    widths = sorted({g.n_qubits for g in found.gradients})
    depths = sorted({g.n_layers for g in found.gradients})

    def draw(left: Any, right: Any) -> None:
        for k, depth in enumerate(depths):
            row = [g for g in found.gradients if g.n_layers == depth]
            _bars(left, [g.n_qubits for g in row], [g.mean for g in row], k, f"{depth} layers")
        for k, width in enumerate(widths):
            row = sorted((g for g in found.gradients if g.n_qubits == width),
                         key=lambda g: g.n_layers)  # fmt: skip
            _bars(right, [g.n_layers for g in row], [g.mean for g in row], k, f"{width} qubits")
        left.set(xlabel="qubits", ylabel="variance (1/rad^2)", yscale="log", xticks=widths)
        right.set(xlabel="layers", yscale="log", xticks=depths)
        legend(left)
        legend(right)

    one = "" if len(widths) > 1 else " Its qubits belong to atoms: their number is not changed."
    text = (
        "Variance of the derivatives of the first observable, scaled to values of at most one, "
        "over random parameters and inputs: its mean over the parameters, and that of the "
        f"parameter with the largest.{one}"
    )
    head = "qubits", "layers", "parameters", "mean variance", "largest"
    caption = "Mean variance of the gradient against qubits and layers."
    return Section("Gradients", text, Table(head, rows), (Figure(png(draw, columns=2), caption),))


def _haar(found: CircuitAnalysis) -> Section:
    rows = tuple(
        (f"{e.n_layers}", str(e.divergence), str(e.floor), f"{e.idle:.4g}")
        for e in found.expressibility
    )
    last = found.expressibility[-1]

    def draw(left: Any, right: Any) -> None:
        edges = np.linspace(0, 1, BINS + 1)
        left.stairs(last.fidelities, edges, color=COLOURS[0], label="circuit")
        dim = 1 << found.n_qubits
        tails = (1 - edges) ** (dim - 1)
        left.stairs(tails[:-1] - tails[1:], edges, color=COLOURS[1], linestyle="--", label="Haar")
        left.set(xlabel="fidelity of two states", ylabel="share of the pairs")
        legend(left)
        layers = [e.n_layers for e in found.expressibility]
        _bars(right, layers, [e.divergence for e in found.expressibility], 0, "circuit")
        _bars(right, layers, [e.floor for e in found.expressibility], 1, "Haar pairs, as many")
        right.set(xlabel="layers", ylabel="divergence", yscale="log", xticks=layers)
        legend(right)

    text = (
        "Kullback-Leibler divergence of the fidelities of random pairs of states from those of "
        f"Haar-random states, in {BINS} bins, {last.n_pairs} pairs; 0 is as random as possible. "
        "A finite number of Haar-random pairs is not at 0 either. Both states of a pair have the "
        "same inputs."
    )
    head = "layers", "divergence", "of as many Haar pairs", "of an idle circuit"
    caption = "Fidelities of pairs of states, and their divergence against layers."
    return Section(
        "Expressibility", text, Table(head, rows), (Figure(png(draw, columns=2), caption),)
    )


def summary(found: CircuitAnalysis) -> str:
    """Return the main numbers in a few lines."""
    f, last, e = found.fourier, found.fisher[-1], found.expressibility[-1]
    lines = [
        f"{found.name}: {found.n_qubits} qubits, {found.n_layers} layers, "
        f"{found.n_parameters} parameters"
    ]
    if found.redundancy:
        r = found.redundancy[-1]
        lines.append(
            f"ZX: {r.kept} of {r.n_parameters} parameters kept, {r.kept_on_zero} of them on |0>"
        )
    else:
        lines.append(f"ZX: not simplified, {found.no_redundancy}")
    for name, s in (("quantum", last.quantum), ("classical", last.classical)):
        lines.append(
            f"Fisher, {name}: rank {_short(s.rank)}, {_percent(s.near_zero)} near zero, effective "
            f"dimension {_short(s.effective_dimension)}"
        )
    lines += _limits(found)
    together = " in a common factor of all inputs" if f.together else ""
    lines.append(
        f"Fourier{together}: {f.accessible_terms} terms accessible, {f.non_zero_terms} not zero"
    )
    own = [g for g in found.gradients if g.n_qubits == found.n_qubits][-1]
    lines.append(f"gradients: mean variance {own.mean} 1/rad^2")
    lines.append(f"expressibility: {e.divergence} (Haar {e.floor}, idle {e.idle:.4g})")
    return "\n".join(lines)


def _bars(axis: Any, x: list[Any], many: list[Estimate], k: int, label: str) -> None:
    order = np.argsort(x)
    values = np.array([many[i].value for i in order])
    errors = np.array([many[i].error or 0.0 for i in order])
    axis.errorbar(
        np.array(x)[order], values, errors, fmt="o", linestyle=STYLES[k % 4],
        color=COLOURS[k % 4], ms=3, linewidth=1, capsize=2, label=label,
    )  # fmt: skip


def _short(e: Estimate) -> str:
    if not e.error:
        return f"{e.value:g}" if e.value == round(e.value) else f"{e.value:.3g}"
    return f"{e.value:.3g} +- {e.error:.1g}"


def _percent(e: Estimate) -> str:
    error = "" if not e.error else f" +- {100 * e.error:.1g}"
    return f"{100 * e.value:.3g}{error} %"


def _runs(numbers: tuple[int, ...]) -> str:
    """Return numbers with their repetitions, such as "1 (4 times)"."""
    counted = [f"{n}" if (k := numbers.count(n)) == 1 else f"{n} ({k} times)"
               for n in sorted(set(numbers), reverse=True)]  # fmt: skip
    return ", ".join(counted)
