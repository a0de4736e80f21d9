"""Commands `qmd analyze` and `qmd compare`."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qmd.cli.common import Debug, errors_in_one_line

if TYPE_CHECKING:
    from qmd.analysis.compare import Comparison
    from qmd.analysis.potential_of_run import RunPotential
    from qmd.analysis.series import Series

ANALYZE_EXAMPLES = (
    "Examples: `qmd analyze runs/water-nve` writes runs/water-nve/output/report.html; "
    "`qmd analyze output --json numbers.json --report water.html`."
)
COMPARE_EXAMPLES = (
    "Examples: `qmd compare runs/mine runs/reference/h2o --json verdict.json`; "
    "`qmd compare sivqlm-h2o runs/reference/h2o` runs the potential from the start of the "
    "reference. The verdict is `same` or `differs`; both end with exit code 0."
)
Report = Annotated[
    Path | None,
    typer.Option("--report", help="HTML file; default: beside the trajectory.",
                 show_default=False),
]  # fmt: skip
Json = Annotated[
    Path | None, typer.Option("--json", help="File for the results as JSON.", show_default=False)
]
Replica = Annotated[
    int | None,
    typer.Option(min=0, help="Replica to read, in a run of several.", show_default=False),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress, no summary.")]


def analyze(
    run: Annotated[Path, typer.Argument(help="Folder of a run.", show_default=False)],
    replica: Replica = None,
    report: Report = None,
    json_file: Json = None,
    no_timestep: Annotated[
        bool, typer.Option("--no-timestep", help="Do not test shorter time steps.")
    ] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Analyse energy conservation, temperature, geometry and vibrations; write an HTML report."""
    with errors_in_one_line(debug):
        from qmd.analysis import report as analysis_report
        from qmd.analysis.analyze import analyze as analyze_folder
        from qmd.analysis.analyze import as_data
        from qmd.report import page

        found = analyze_folder(run, timestep=not no_timestep, replica=replica)
        name = "report.html" if replica is None else f"report-{replica:04d}.html"
        target = report or found.run.folder / name
        page.write(target, analysis_report.page(found))
        _write_json(json_file, as_data(found))
        if not quiet:
            print(_analysis_text(as_data(found)))
            print(f"report: {target}")


def compare(
    run: Annotated[
        str, typer.Argument(help="Folder of a run, or a potential.", show_default=False)
    ],
    reference: Annotated[
        Path, typer.Argument(help="Folder of a reference run.", show_default=False)
    ],
    replica: Replica = None,
    report: Report = None,
    json_file: Json = None,
    points: Annotated[
        int,
        typer.Option(min=0, max=10_000, help="Number of frames of the model's path to compute "
                     "with the reference method; 0: do not use it."),
    ] = 20,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:  # fmt: skip
    """Compare the dynamics of a potential with its reference: a verdict, and an HTML report."""
    with errors_in_one_line(debug):
        from qmd.analysis import comparison_report, series
        from qmd.analysis.compare import as_data
        from qmd.analysis.compare import compare as compare_with
        from qmd.cli import console
        from qmd.report import page

        reference_run = series.read(reference)
        ours = _run_or_potential(run, reference_run, replica)
        with console.bars(quiet=quiet) as on_progress:
            found = compare_with(ours, reference_run, points=points, on_progress=on_progress)
        folder = ours.folder if isinstance(ours, series.Series) else Path()
        target = report or folder / "comparison.html"
        page.write(target, comparison_report.page(found))
        _write_json(json_file, as_data(found))
        if not quiet:
            print(_comparison_text(found))
            print(f"report: {target}")


def _run_or_potential(
    name: str, reference: "Series", replica: int | None
) -> "Series | RunPotential":
    from qmd.analysis import series
    from qmd.analysis.potential_of_run import potential_of_package
    from qmd.errors import MismatchError
    from qmd.forces.catalogue import load_package

    if Path(name).is_dir():
        return series.read(name, replica)
    package = load_package(name, Path())
    if reference.species not in package.served:
        served = ", or ".join(" ".join(symbols) for symbols in package.served)
        raise MismatchError(
            f"{package.name} is for {served}, "
            f"but {reference.folder} has the atoms {' '.join(reference.species)}"
        )
    return potential_of_package(package.on(reference.species))


def _write_json(path: Path | None, data: dict[str, Any]) -> None:
    if path is not None:
        from qmd.io import files

        files.write_text(path, json.dumps(_finite(data), indent=2, allow_nan=False) + "\n")


def _finite(data: Any) -> Any:
    """Replace NaN and infinities, which JSON does not have, by null."""
    match data:
        case dict():
            return {key: _finite(value) for key, value in data.items()}
        case list() | tuple():
            return [_finite(value) for value in data]
        case float() if not math.isfinite(data):
            return None
    return data


def _analysis_text(data: dict[str, Any]) -> str:
    heat, energy = data["temperature"], data["energy_conservation"]
    lines = [
        f"{data['potential']}: {data['length_ps']:g} ps, {data['frames']} frames",
        f"temperature   {heat['mean_K']:.1f} +- {heat['error_K']:.1f} K"
        + (f", predicted {heat['predicted_K']:.1f}" if heat["predicted_K"] is not None else ""),
    ]
    if energy:
        lines += [
            f"drift         {energy['drift_meV_per_atom_ps']:.2e} +- "
            f"{energy['drift_error_meV_per_atom_ps']:.1e} meV/atom/ps, "
            f"{energy['drift_kT_per_ns_dof']:.1e} kT/ns/dof, ratio {energy['drift_ratio']:.1e}",
            f"fluctuation   {energy['fluctuation_meV_per_atom']:.3g} meV/atom",
        ]
    for name, c in data["coordinates"].items():
        lines.append(f"{name:13} {c['mean']:.4f} +- {c['error']:.1g} {c['unit']}")
    if "vdos_peaks_per_cm" in data:
        peaks = " ".join(f"{x:.0f}" for x in data["vdos_peaks_per_cm"])
        lines.append(f"lines (1/cm)  {peaks}")
    return "\n".join(lines)


def _comparison_text(found: "Comparison") -> str:
    from qmd.analysis.comparison_report import verdict_table

    table = verdict_table(found)
    rows = [table.head, *table.rows]
    widths = [max(len(row[k]) for row in rows) for k in range(len(table.head))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in rows]
    return "\n".join([*lines, *found.notes, f"verdict: {found.verdict}"])
