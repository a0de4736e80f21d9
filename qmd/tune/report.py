"""Result of a search as data, as text and as one HTML page without network."""

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from qmd.jobs.provenance import machine, versions
from qmd.report import figures, page
from qmd.report.page import Figure, Page, Section, Table
from qmd.search.hypervolume import hypervolume
from qmd.search.samo_cobra import default_reference
from qmd.search.search import Evaluated, front_of, objectives_of
from qmd.tune.config import TuneConfig

WORDS = {
    "forces_rmse_meV_per_A": "forces, RMSE (meV/A)",
    "energy_rmse_meV": "energy, RMSE (meV)",
    "inference_us": "time on one core (us)",
    "parameters": "number of parameters",
}
WIDE = 20.0
"""Ratio of the largest to the smallest value from which an axis is logarithmic."""


def card(
    config: TuneConfig, points: list[dict[str, Any]], evaluated: Sequence[Evaluated]
) -> dict[str, Any]:
    """Return the result: points, Pareto front, and the hypervolume after each point.

    All hypervolumes have the same reference point, that of the input or of the last front, so that
    they never fall.
    """
    front = sorted(front_of(evaluated), key=lambda k: evaluated[k].objectives or ())
    reference: list[float] | None = None
    volumes: list[float] = []
    if front:
        reference = (
            [config.reference[name] for name in config.objectives]
            if config.reference
            else default_reference(objectives_of(evaluated, front)).tolist()
        )
        for n in range(1, len(evaluated) + 1):
            known = front_of(evaluated[:n])
            found = objectives_of(evaluated, known).reshape(len(known), len(reference))
            volumes.append(hypervolume(found, reference))
    return {
        "format": "qmd-tune-result",
        "version": 1,
        "method": config.method.model_dump(mode="json"),
        "objectives": list(config.objectives),
        "constraints": dict(config.constraints),
        "reference": reference,
        "hypervolume": volumes,
        "front": [points[k] for k in front],
        "points": points,
        "failed": sum(point["status"] == "failed" for point in points),
        "versions": versions("jax", "scipy"),
        "machine": machine(),
    }


def summary(found: dict[str, Any], directory: Path) -> str:
    """Return the Pareto front as a table of text, and where the results are."""
    head, rows = _front_rows(found)
    table = [head, *rows]
    widths = [max(len(row[k]) for row in table) for k in range(len(head))]
    lines = [
        "  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]
    return "\n".join([*(lines if rows else []), _counts(found), f"Report and points: {directory}"])


def _counts(found: dict[str, Any]) -> str:
    n, feasible = len(found["points"]), sum(point["feasible"] for point in found["points"])
    front = len(found["front"])
    return (
        f"{n} trainings, {found['failed']} failed, {feasible} fulfil the constraints, {front} on "
        "the Pareto front."
    )


def _front_rows(found: dict[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    names = list(dict.fromkeys([*found["objectives"], *found["constraints"]]))
    keys = list(found["points"][0]["parameters"]) if found["points"] else []
    head = ("point", *names, *keys)
    rows = [
        (
            str(point["point"]),
            *(f"{point['quantities'][name]:.4g}" for name in names),
            *(_shown(point["parameters"][key]) for key in keys),
        )
        for point in found["front"]
    ]
    return head, rows


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def write(path: Path, name: str, found: dict[str, Any]) -> None:
    """Write the HTML report.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    head, rows = _front_rows(found)
    text = "Errors are those on the validation frames, by which the points were chosen."
    sections = [Section("Pareto front", text, Table(head, tuple(rows)), _front_figures(found))]
    if found["hypervolume"]:
        sections.append(_trace(found))
        sections.append(_by_parameter(found))
    if found["failed"]:
        sections.append(_failures(found))
    lead = f"{_counts(found)} Method: {found['method']['kind']}."
    page.write(path, Page(f"Search of {name}", lead, sections=tuple(sections)))


def _values(points: list[dict[str, Any]], name: str) -> np.ndarray:
    return np.array([point["quantities"][name] for point in points], float)


def _finished(found: dict[str, Any]) -> list[dict[str, Any]]:
    return [point for point in found["points"] if point["status"] == "finished"]


def _front_figures(found: dict[str, Any]) -> tuple[Figure, ...]:
    """Return a plot of each pair of objectives."""
    points, made = _finished(found), []
    groups = {
        "breaks a constraint": [p for p in points if not p["feasible"]],
        "dominated": [p for p in points if p["feasible"] and not p["on_front"]],
        "Pareto front": found["front"],
    }
    for first, second in combinations(found["objectives"], 2):

        def draw(axis: Any, first: str = first, second: str = second) -> None:
            for (label, group), marker, colour in zip(
                groups.items(), ("x", ".", "o"), ("0.7", "0.5", figures.COLOURS[0]), strict=True
            ):
                if group:
                    x, y = _values(group, first), _values(group, second)
                    axis.plot(x, y, marker, color=colour, label=label)
            _scale(axis.set_xscale, _values(points, first))
            _scale(axis.set_yscale, _values(points, second))
            axis.set_xlabel(WORDS[first])
            axis.set_ylabel(WORDS[second])
            figures.legend(axis)

        if points:
            caption = f"Trainings by {WORDS[first]} and {WORDS[second]}; less is better."
            made.append(Figure(figures.png(draw, height=4.0), caption))
    return tuple(made)


def _scale(set_scale: Any, values: np.ndarray) -> None:
    if values.min() > 0 and values.max() > WIDE * values.min():
        set_scale("log")


def _trace(found: dict[str, Any]) -> Section:
    volumes = np.array(found["hypervolume"])

    def draw(axis: Any) -> None:
        axis.step(np.arange(1, len(volumes) + 1), volumes, where="post", color=figures.COLOURS[0])
        axis.set_xlabel("trainings")
        axis.set_ylabel("hypervolume")

    shown = ", ".join(
        f"{WORDS[name]} {value:.4g}"
        for name, value in zip(found["objectives"], found["reference"], strict=True)
    )
    text = f"Volume that the front dominates below the reference point: {shown}."
    return Section("Hypervolume", text, figures=(Figure(figures.png(draw), "By training."),))


def _by_parameter(found: dict[str, Any]) -> Section:
    """Return the first objective by each parameter."""
    points, objective = _finished(found), found["objectives"][0]
    made = []
    for key in found["points"][0]["parameters"]:
        values = [point["parameters"][key] for point in points]
        numeric = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)

        def draw(
            axis: Any, key: str = key, values: list[Any] = values, numeric: bool = numeric
        ) -> None:
            x = np.array(values, float) if numeric else [str(value) for value in values]
            axis.plot(x, _values(points, objective), ".", color="0.5")
            front = [k for k, point in enumerate(points) if point["on_front"]]
            on_front = [x[k] for k in front]
            best = [points[k]["quantities"][objective] for k in front]
            axis.plot(on_front, best, "o", color=figures.COLOURS[0])
            if isinstance(x, np.ndarray):
                _scale(axis.set_xscale, x)
            _scale(axis.set_yscale, _values(points, objective))
            axis.set_xlabel(key)
            axis.set_ylabel(WORDS[objective])

        made.append(Figure(figures.png(draw), f"{key}; points of the front in colour."))
    return Section("Parameters", figures=tuple(made))


def _failures(found: dict[str, Any]) -> Section:
    head = ("point", *found["points"][0]["parameters"], "reason")
    rows = tuple(
        (str(point["point"]), *map(_shown, point["parameters"].values()), point["reason"])
        for point in found["points"]
        if point["status"] == "failed"
    )
    return Section("Failed trainings", "They have no errors, and count as such.", Table(head, rows))
