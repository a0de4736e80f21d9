"""Report of `qmd benchmark`."""

from typing import Any

from qmd.benchmark.tables import provenance_line, tables
from qmd.report.figures import COLOURS, png
from qmd.report.page import Figure, Page, Section

MARKERS = "o", "s", "^", "D", "v", "P", "X", "*"


def page(results: dict[str, Any]) -> Page:
    """Return the report: accuracy against speed, then a table for each measure."""
    sections = [_trade_off(results)]
    sections += [Section(heading, caption, table) for heading, caption, table in tables(results)]
    sections.append(Section("Machine", provenance_line(results)))
    return Page(
        results["title"],
        results["text"],
        sections=tuple(s for s in sections if s.text or s.table or s.figures),
    )


def _trade_off(results: dict[str, Any]) -> Section:
    """Plot force errors over the time of a force evaluation, with the Pareto front."""
    times = _values_of_kind(results, "speed", "us_per_force")
    errors = _values_of_kind(results, "errors", "forces_rmse_meV_per_A")
    points = {label: (times[label], errors[label]) for label in times if label in errors}
    if len(points) < 2:
        return Section("")
    front = pareto(points)

    def draw(axis: Any) -> None:
        for k, (label, (x, y)) in enumerate(points.items()):
            axis.loglog(x, y, MARKERS[k % len(MARKERS)], color=COLOURS[k % 4], markersize=8)
            axis.annotate(label, (x, y), (6, 6), textcoords="offset points", fontsize="small")
        axis.step(*zip(*(points[label] for label in front), strict=True), where="post",
                  color="0.6", linewidth=1, zorder=0)  # fmt: skip
        axis.set(xlabel="time of a force (us)", ylabel="force error (meV/\u00c5, rms)")
        axis.margins(0.2)

    caption = "Force error and time of a force evaluation; the line is the Pareto front."
    text = f"No other potential is both faster and more accurate than: {', '.join(front)}."
    return Section("Accuracy and speed", text, figures=(Figure(png(draw, height=4.5), caption),))


def pareto(points: dict[str, tuple[float, float]]) -> list[str]:
    """Return the labels of the Pareto front of (time, error), sorted by time."""
    front: list[str] = []
    for label in sorted(points, key=lambda k: points[k]):
        if not front or points[label][1] < points[front[-1]][1]:
            front.append(label)
    return front


def _values_of_kind(results: dict[str, Any], kind: str, key: str) -> dict[str, float]:
    """Return one value of each potential from the first measure of a kind, by label."""
    found: dict[str, float] = {}
    names = [cell["measure"] for cell in results["cells"] if cell["kind"] == kind]
    for cell in results["cells"]:
        if names and cell["measure"] == names[0] and cell["result"].get(key):
            found[cell["potential"]] = float(cell["result"][key])
    return found
