"""Plots of a training, as PNG: the learning curve, and predictions for the test frames."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from qmd.train.problem import Frames
from qmd.train.states import StageState
from qmd.typing import Array

GREY, COLOUR = "0.75", "C0"


def learning_curve(states: dict[tuple[int, int], StageState], chosen: list[int]) -> bytes:
    """Plot loss and validation errors by iteration, with the chosen starts in colour."""
    figure, axes = _figure(1, 3)
    titles = (
        "loss per frame",
        "validation energies, RMSE (meV)",
        "validation forces, RMSE (meV/\u00c5)",
    )
    starts = sorted({start for start, _ in states}, key=lambda s: s in chosen)  # chosen on top
    for start in starts:
        rows = _joined([states[key] for key in sorted(states) if key[0] == start])
        for axis, column in zip(axes, rows.T[1:4], strict=True):
            if np.isfinite(column).any():
                colour = COLOUR if start in chosen else GREY
                axis.semilogy(rows[:, 0], column, color=colour, label=f"start {start}")
    for axis, title in zip(axes, titles, strict=True):
        axis.set_title(title, fontsize="medium")
        axis.set_xlabel("iteration")
    axes[0].set_ylabel(f"in colour: start {', '.join(map(str, chosen))}" if len(starts) > 1 else "")
    return _png(figure)


def _joined(states: list[StageState]) -> Array:
    """Return the rows of all stages, with iterations counted through."""
    parts, offset = [], 0.0
    for state in states:
        rows = np.array(state.rows, float).reshape(-1, 5)
        rows[:, 0] += offset
        parts.append(rows)
        offset = rows[-1, 0] if len(rows) else offset
    return np.concatenate(parts)


def parity(predicted: Sequence[Array], labels: Frames) -> bytes:
    """Plot energies and forces against their labels, and residuals by energy, for test frames."""
    energies, forces = predicted[:2]
    figure, axes = _figure(1, 4 if labels.forces is not None else 2)
    _diagonal(axes[0], labels.energies, energies, "energy (eV)")
    _residuals(axes[1], labels.energies, 1000 * (energies - labels.energies), "energy (meV)")
    if labels.forces is not None:
        squares = (forces - labels.forces) ** 2
        labelled, found = (each[labels.present].ravel() for each in (labels.forces, forces))
        _diagonal(axes[2], labelled, found, "force component (eV/\u00c5)")
        rms = 1000 * np.sqrt(squares.sum(axis=(1, 2)) / (3 * labels.n_atoms))
        _residuals(axes[3], labels.energies, rms, "forces of a frame, RMS (meV/\u00c5)")
    return _png(figure)


def _diagonal(axis: Any, labels: Array, predicted: Array, what: str) -> None:
    axis.plot(labels, predicted, ".", markersize=2, color=COLOUR)
    ends = [min(labels.min(), predicted.min()), max(labels.max(), predicted.max())]
    axis.plot(ends, ends, color="0.3", linewidth=0.7)
    axis.set_xlabel(f"label: {what}")
    axis.set_ylabel(f"model: {what}")


def _residuals(axis: Any, energies: Array, values: Array, what: str) -> None:
    axis.plot(energies, values, ".", markersize=2, color=COLOUR)
    axis.axhline(0, color="0.3", linewidth=0.7)
    axis.set_xlabel("label: energy (eV)")
    axis.set_ylabel(f"error: {what}")


def _figure(rows: int, columns: int) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4 * columns, 3.6 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns)


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()
