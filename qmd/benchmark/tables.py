"""Tables of the results of a benchmark, one per measure."""

import math
import statistics
from collections.abc import Callable, Iterable
from typing import Any

from qmd.report.page import Table

Cells = list[dict[str, Any]]
Columns = list[tuple[str, Callable[[Cells], str]]]
NONE = "-"

TITLES = {
    "errors": "Errors on labels",
    "path": "Errors along a reference trajectory",
    "nve": "Energy conservation",
    "stability": "Stability in a thermostat",
    "symmetry": "Symmetry",
    "speed": "Speed",
    "resources": "Size and quantum resources",
}


def tables(results: dict[str, Any]) -> list[tuple[str, str, Table]]:
    """Return (heading, caption, table) of every measure, in the order of the input."""
    found = []
    for measure in results["input"]["measures"]:
        name = measure["name"] or measure["kind"]
        cells = [cell for cell in results["cells"] if cell["measure"] == name]
        kind = measure["kind"]
        heading = TITLES[kind] + (f": {measure['name']}" if measure["name"] else "")
        found.append((heading, _caption(measure), _table(cells, COLUMNS[kind](cells))))
    return found


def markdown(results: dict[str, Any]) -> str:
    """Return the tables as a page in Markdown, with machine and versions."""
    parts = [f"# {results['title']}", results["text"]]
    for heading, caption, table in tables(results):
        rule = tuple(["---", *["--:"] * (len(table.head) - 1)])
        rows = ["| " + " | ".join(row) + " |" for row in (table.head, rule, *table.rows)]
        parts += [f"## {heading}", caption, "\n".join(rows)]
    parts.append(provenance_line(results))
    return "\n\n".join(part for part in parts if part) + "\n"


def provenance_line(results: dict[str, Any]) -> str:
    """Return a line with machine and versions."""
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    return f"{results['machine']['cpu']}, {results['machine']['system']}. {versions}."


def _table(cells: Cells, columns: Columns) -> Table:
    labels = list(dict.fromkeys(cell["potential"] for cell in cells))
    rows = tuple(
        (label, *(value([c for c in cells if c["potential"] == label]) for _, value in columns))
        for label in labels
    )
    return Table(("potential", *(head for head, _ in columns)), rows)


def _caption(measure: dict[str, Any]) -> str:
    match measure["kind"]:
        case "errors":
            source = measure["dataset"] or f"unseen frames of {measure['test_frames_of']}"
            below = f", below {measure['below_eV']:g} eV" if measure["below_eV"] else ""
            return f"{source}{below}. Energies after subtraction of their mean difference."
        case "path":
            return (
                f"Frames of {measure['reference']}. Energies after subtraction of their mean "
                "difference."
            )
        case "nve":
            starts = _plural(measure["seeds"], "start")
            return (
                f"{measure['structure']}, {measure['length_ps']:g} ps from "
                f"{measure['temperature_K']:g} K, the same {starts} for all: "
                "median of |drift| (largest in brackets), and median of the drift ratio "
                "|drift| / std(E_kin). A time step at which a run failed has no entry."
            )
        case "stability":
            starts = _plural(measure["seeds"], "start")
            return (
                f"{measure['structure']}, {measure['length_ps']:g} ps in steps of "
                f"{measure['timestep_fs']:g} fs, the same {starts} and noise for "
                "all: number of runs that reach the end, and mean time of the others. A bond "
                f"stretched or compressed by a factor of {measure['stretch']:g} is a failure."
            )
        case "symmetry":
            return (
                f"{measure['structure']}, {measure['geometries']} distorted geometries: largest "
                "change under rotation or reflection, and under exchange of equal atoms."
            )
        case "speed":
            return (
                f"{measure['structure']}: medians of {measure['rounds']} interleaved samples in "
                "one process on one core; a start is `qmd run` of one step with warm caches."
            )
    return "Number of parameters, fitted or chosen; for circuits, the cost on a quantum computer."


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _errors(cells: Cells) -> Columns:
    return [
        ("frames", _one("frames")),
        ("energy RMSE, meV", _one("energy_rmse_meV")),
        ("energy MAE", _one("energy_mae_meV")),
        ("forces RMSE, meV/A", _one("forces_rmse_meV_per_A")),
        ("forces MAE", _one("forces_mae_meV_per_A")),
    ]


def _nve(cells: Cells) -> Columns:
    columns: Columns = []
    for dt in _values(cells, "timestep_fs"):

        def drift(own: Cells, dt: float = dt) -> str:
            return _median(_where(own, timestep_fs=dt), "drift_meV_per_atom_ps")

        def ratio(own: Cells, dt: float = dt) -> str:
            return _median(_where(own, timestep_fs=dt), "drift_ratio", largest=False)

        columns += [(f"drift at {dt:g} fs, meV/atom/ps", drift), ("ratio", ratio)]
    return columns


def _stability(cells: Cells) -> Columns:
    columns: Columns = []
    for temperature in _values(cells, "temperature_K"):

        def survived(own: Cells, temperature: float = temperature) -> str:
            results = [c["result"] for c in _where(own, temperature_K=temperature)]
            times = [r["time_ps"] for r in results if r["failed"]]
            text = f"{len(results) - len(times)} of {len(results)}"
            return f"{text} ({statistics.mean(times):.3g} ps)" if times else text

        columns.append((f"{temperature:g} K", survived))
    return columns


def _symmetry(cells: Cells) -> Columns:
    return [
        ("rotation: energy, meV", _largest("rotation_energy_meV", "reflection_energy_meV")),
        ("forces, meV/A", _largest("rotation_forces_meV_per_A", "reflection_forces_meV_per_A")),
        ("exchange: energy, meV", _largest("exchange_energy_meV")),
        ("forces, meV/A", _largest("exchange_forces_meV_per_A")),
    ]


def _speed(cells: Cells) -> Columns:
    fastest = min(cell["result"]["us_per_force"] for cell in cells)

    def ratio(own: Cells) -> str:
        return number(own[0]["result"]["us_per_force"] / fastest)

    return [
        ("us/force", _one("us_per_force")),
        ("relative to the fastest", ratio),
        ("steps/s", _one("steps_per_s")),
        ("start, s", _one("start_s")),
    ]


def _resources(cells: Cells) -> Columns:
    keys = "parameters", "circuits", "qubits", "layers", "cnots"
    columns: Columns = [(key, _one(key)) for key in keys]
    columns[-1] = ("CNOTs", columns[-1][1])
    return [
        *columns,
        ("circuits per energy", _one("evaluations_per_energy")),
        ("circuits per force evaluation", _one("evaluations_per_forces")),
    ]


COLUMNS: dict[str, Callable[[Cells], Columns]] = {
    "errors": _errors,
    "path": _errors,
    "nve": _nve,
    "stability": _stability,
    "symmetry": _symmetry,
    "speed": _speed,
    "resources": _resources,
}


def _one(key: str) -> Callable[[Cells], str]:
    return lambda own: number(own[0]["result"].get(key)) if own else NONE


def _largest(*keys: str) -> Callable[[Cells], str]:
    def value(own: Cells) -> str:
        found = [v for key in keys if (v := own[0]["result"].get(key)) is not None]
        return f"{max(found):.0e}" if found else NONE

    return value


def _median(cells: Cells, key: str, *, largest: bool = True) -> str:
    values = [cell["result"].get(key) for cell in cells]
    sizes = [abs(value) for value in values if value is not None and math.isfinite(value)]
    if len(sizes) < len(values):
        return f"{len(values) - len(sizes)} of {len(values)} failed"
    if not sizes:
        return NONE
    text = f"{statistics.median(sizes):.1e}"
    return f"{text} ({max(sizes):.1e})" if largest else text


def _values(cells: Cells, key: str) -> Iterable[float]:
    return sorted({cell["variation"][key] for cell in cells})


def _where(cells: Cells, **variation: float) -> Cells:
    return [c for c in cells if all(c["variation"][k] == v for k, v in variation.items())]


def number(value: Any) -> str:
    """Format a value with three digits, and with commas between thousands."""
    if value is None:
        return NONE
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.3g}" if abs(value) < 1000 else f"{float(f'{value:.3g}'):,.0f}"
