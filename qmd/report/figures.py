"""Plots that print well and that colour-blind readers can read."""

import io
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

COLOURS = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
"""Colours of Okabe and Ito, distinct in all common kinds of colour blindness and in grey."""
STYLES = "-", "--", "-.", ":"
MAX_POINTS = 4000
"""Largest number of points of a line; more would not be visible, and cost time."""

NARROWEST = 1e-5
"""Least range of a histogram, relative to its values; positions in files have 24 bits."""


def png(draw: Callable[..., None], *, columns: int = 1, height: float = 3.0) -> bytes:
    """Return a figure of `columns` plots side by side, drawn by ``draw(*axes)``."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.5, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, columns, squeeze=False)[0]
    draw(*axes)
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    file = io.BytesIO()
    figure.savefig(file, dpi=110, metadata={"Software": None})
    return file.getvalue()


def lines(axis: Any, x: np.ndarray, many: Iterable[tuple[str, np.ndarray]]) -> None:
    """Draw lines over the same x, thinned; several have colours, styles and a legend."""
    every = max(1, len(x) // MAX_POINTS)
    several = list(many)
    for k, (label, y) in enumerate(several):
        style = STYLES[k % len(STYLES)] if len(x) < 500 else "-"
        axis.plot(x[::every], y[::every], style, color=COLOURS[k % 4], label=label, linewidth=1)
    if len(several) > 1:
        legend(axis)


def legend(axis: Any) -> None:
    """Draw the legend above the plot, where it covers no data."""
    axis.legend(frameon=False, fontsize="small", ncols=3, loc="lower left", bbox_to_anchor=(0, 1))


def histograms(axis: Any, label: str, many: Iterable[tuple[str, np.ndarray]]) -> None:
    """Draw normalised histograms over the same bins."""
    several = list(many)
    ends = np.concatenate([values.ravel() for _, values in several])
    low, high = ends.min(), ends.max()
    # Values that do not move fill one bin of a range of their own.
    least = NARROWEST * max(1.0, abs(low), abs(high))
    middle, width = (low + high) / 2, max(high - low, least)
    bins = np.linspace(middle - width / 2, middle + width / 2, 60)
    for k, (name, values) in enumerate(several):
        axis.hist(
            values.ravel(), bins, density=True, histtype="step", linewidth=1.3,
            color=COLOURS[k % 4], linestyle=STYLES[k % 4], label=name,
        )  # fmt: skip
    axis.set_xlabel(label)
    axis.set_yticks([])
    if len(several) > 1:
        legend(axis)
