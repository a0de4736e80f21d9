"""`qmd.analyze` and `qmd.compare`: numbers of runs, with a report."""

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from qmd.analysis import comparison_report, ensemble_report, series
from qmd.analysis import report as analysis_report
from qmd.analysis.analyze import Analysis
from qmd.analysis.analyze import analyze as analyze_run
from qmd.analysis.analyze import as_data as analysis_data
from qmd.analysis.compare import Comparison
from qmd.analysis.compare import as_data as comparison_data
from qmd.analysis.compare import compare as compare_runs
from qmd.analysis.ensemble import HEAD, EnsembleAnalysis, analyze_ensemble, member_folders, rows
from qmd.analysis.ensemble import as_data as ensemble_data
from qmd.analysis.potential_of_run import RunPotential, potential_of_package
from qmd.analysis.series import Series
from qmd.analysis.statistics import with_error
from qmd.commands.dynamics import RunResult
from qmd.commands.progress import bars, interruptible
from qmd.ensemble.session import EnsembleResult
from qmd.errors import MismatchError
from qmd.forces.catalogue import load_package
from qmd.io import files
from qmd.report import page

PathOrResult = str | PathLike[str] | RunResult | EnsembleResult
"""Folder of a run or of an ensemble, or what `qmd.run` and `qmd.ensemble` returned."""


@dataclass(frozen=True)
class AnalysisResult:
    """Numbers of a run, and its report."""

    run: Path
    """Folder of the trajectory, or of the ensemble."""
    report: Path | None
    """HTML file; None if none was asked for."""
    data: Mapping[str, Any]
    """All numbers, with units in the keys, as `qmd analyze --json` writes them."""
    details: Analysis | None = field(repr=False, compare=False, default=None)
    """The analysis of a run, with its series; None for an ensemble."""
    ensemble: EnsembleAnalysis | None = field(repr=False, compare=False, default=None)
    """The analysis of an ensemble: groups, means over members, members; None for a run."""

    def summary(self) -> str:
        """Return a few lines, as `qmd analyze` prints them."""
        text = _ensemble_text(self.ensemble) if self.ensemble else _analysis_text(self.data)
        return text + (f"\nreport: {self.report}" if self.report else "")


@dataclass(frozen=True)
class ComparisonResult:
    """Verdict on a potential against its reference, and the report."""

    verdict: str
    """`same` or `differs`."""
    report: Path | None
    """HTML file; None if none was asked for."""
    data: Mapping[str, Any]
    """All numbers, with units in the keys, as `qmd compare --json` writes them."""
    details: Comparison = field(repr=False, compare=False)
    """The comparison itself, with both trajectories."""

    def summary(self) -> str:
        """Return the criteria and the verdict, as `qmd compare` prints them."""
        text = _comparison_text(self.details)
        return text + (f"\nreport: {self.report}" if self.report else "")


def analyze(
    run: PathOrResult,
    *,
    replica: int | None = None,
    report: str | PathLike[str] | bool = True,
    json_file: str | PathLike[str] | None = None,
    timestep: bool = True,
    verify: bool = False,
    viscosity_mPa_s: float | None = None,
    progress: bool = True,
) -> AnalysisResult:
    """Analyse energy conservation, temperature, geometry and vibrations of a run or an ensemble.

    In a cell also density, pressure, radial distributions and diffusion.

    Parameters
    ----------
    run : path, RunResult or EnsembleResult
        Folder of a run, or of an ensemble, which is merged: means over members that differ in the
        seed only, with their standard errors.
    replica : int, optional
        Replica to read, in a run of several.
    report : path or bool
        HTML file to write; True: `report.html` beside the trajectory; False: none.
    json_file : path, optional
        File for the numbers.
    timestep : bool
        Run the potential again at shorter time steps; not of an ensemble.
    verify : bool
        First compare all outputs with the digests in the last checkpoint.
    viscosity_mPa_s : float, optional
        Viscosity of the liquid, for the finite-size correction of its diffusion; not of an
        ensemble.
    progress : bool
        Show a bar over the members of an ensemble; see `run`.

    Returns
    -------
    AnalysisResult

    Raises
    ------
    InputError, CorruptError
        If files are missing, damaged or truncated, or hold too few frames.
    """
    names = member_folders(_folder(run))
    if names is not None and replica is None:
        return _analyze_ensemble(_folder(run), names, report, json_file, verify, progress)
    with interruptible():
        found = analyze_run(
            _folder(run), timestep=timestep, replica=replica, verify=verify,
            viscosity_mPa_s=viscosity_mPa_s,
        )  # fmt: skip
    name = "report.html" if replica is None else f"report-{replica:04d}.html"
    target = _report(report, found.run.folder / name)
    if target is not None:
        page.write(target, analysis_report.page(found))
    data = analysis_data(found)
    _write_json(json_file, data)
    return AnalysisResult(found.run.folder, target, data, found)


def _analyze_ensemble(
    folder: Path,
    names: list[str],
    report: str | PathLike[str] | bool,
    json_file: str | PathLike[str] | None,
    verify: bool,
    progress: bool,
) -> AnalysisResult:
    with bars(progress) as on_progress:
        found = analyze_ensemble(folder, names, on_progress, verify=verify)
    target = _report(report, folder / "report.html")
    if target is not None:
        page.write(target, ensemble_report.page(found))
    data = ensemble_data(found)
    _write_json(json_file, data)
    return AnalysisResult(folder, target, data, ensemble=found)


def compare(
    run: PathOrResult,
    reference: PathOrResult,
    *,
    replica: int | None = None,
    report: str | PathLike[str] | bool = True,
    json_file: str | PathLike[str] | None = None,
    points: int = 20,
    progress: bool = True,
) -> ComparisonResult:
    """Compare the dynamics of a potential with a reference trajectory.

    Parameters
    ----------
    run : path, name or RunResult
        Folder of a run, or a potential, which runs from the start of the reference.
    reference : path or RunResult
        Run of the reference method, at constant energy.
    replica : int, optional
        Replica of `run` to read, in a run of several.
    report : path or bool
        HTML file to write; True: `comparison.html` beside the trajectory, or in the current folder
        for a potential; False: none.
    json_file : path, optional
        File for the numbers.
    points : int
        Number of frames of the model's path to compute with the reference method; 0: do not use it.
    progress : bool
        Show bars, on a terminal and in Jupyter; elsewhere lines, now and then.

    Returns
    -------
    ComparisonResult

    Raises
    ------
    QmdError
        If files or potentials are missing or damaged, or do not belong together.
    """
    reference_run = series.read(_folder(reference))
    ours = _run_or_potential(run, reference_run, replica)
    with bars(progress) as on_progress:
        found = compare_runs(ours, reference_run, points=points, on_progress=on_progress)
    folder = ours.folder if isinstance(ours, Series) else Path()
    target = _report(report, folder / "comparison.html")
    if target is not None:
        page.write(target, comparison_report.page(found))
    data = comparison_data(found)
    _write_json(json_file, data)
    return ComparisonResult(found.verdict, target, data, found)


def _folder(run: PathOrResult) -> Path:
    return run.directory if isinstance(run, RunResult | EnsembleResult) else Path(run)


def _report(wanted: str | PathLike[str] | bool, usual: Path) -> Path | None:
    if isinstance(wanted, bool):
        return usual if wanted else None
    return Path(wanted)


def _run_or_potential(
    run: PathOrResult, reference: Series, replica: int | None
) -> Series | RunPotential:
    if isinstance(run, RunResult | EnsembleResult) or os.path.isdir(run):
        return series.read(_folder(run), replica)
    package = load_package(str(run), Path())
    if not package.serves(reference.species):
        served = ", or ".join(" ".join(symbols) for symbols in package.served)
        raise MismatchError(
            f"{package.name} is for {served}, "
            f"but {reference.folder} has the atoms {' '.join(reference.species)}"
        )
    return potential_of_package(package.on(reference.species))


def _write_json(path: str | PathLike[str] | None, data: Mapping[str, Any]) -> None:
    if path is not None:
        text = json.dumps(_finite(data), indent=2, allow_nan=False)
        files.write_text(Path(path), text + "\n")


def _finite(data: Any) -> Any:
    """Replace NaN and infinities, which JSON does not have, by null."""
    match data:
        case Mapping():
            return {key: _finite(value) for key, value in data.items()}
        case list() | tuple():
            return [_finite(value) for value in data]
        case float() if not math.isfinite(data):
            return None
    return data


def _analysis_text(data: Mapping[str, Any]) -> str:
    heat, energy = data["temperature"], data["energy_conservation"]
    lines = [
        f"{data['potential']}: {data['length_ps']:g} ps, {data['frames']} frames",
        f"temperature   {with_error(heat['mean_K'], heat['error_K'])} K"
        + (f", predicted {heat['predicted_K']:.1f}" if heat["predicted_K"] is not None else ""),
    ]
    if energy:
        lines += [
            f"drift         {energy['drift_meV_per_atom_ps']:.2e} +- "
            f"{energy['drift_error_meV_per_atom_ps']:.1e} meV/atom/ps, "
            f"{energy['drift_kT_per_ns_dof']:.1e} kT/ns/dof, ratio {energy['drift_ratio']:.1e}",
            f"fluctuation   {energy['fluctuation_meV_per_atom']:.3g} meV/atom",
        ]
    lines += _cell_lines(data) if "cell" in data else []
    for name, c in data["coordinates"].items():
        lines.append(f"{name:13} {with_error(c['mean'], c['error'])} {c['unit']}")
    if bonds := data["hydrogen_bonds"]:
        lines.append(f"H bonds       {with_error(bonds['mean'], bonds['error'])} per frame")
    if "vdos_peaks_per_cm" in data:
        lines.append(f"lines (1/cm)  {', '.join(_line_places(data))}")
    return "\n".join(lines)


def _line_places(data: Mapping[str, Any]) -> list[str]:
    places, errors = data["vdos_peaks_per_cm"], data["vdos_peak_errors_per_cm"]
    if errors is None:
        return [f"{x:.0f}" for x in places]
    return [f"{x:.0f} +- {error:.0f}" for x, error in zip(places, errors, strict=True)]


def _cell_lines(data: Mapping[str, Any]) -> Iterator[str]:
    for key, mean in data["cell"].items():
        name, unit = key.split("_", 1)
        yield f"{name:13} {with_error(mean['mean'], mean['error'])} {unit.replace('_per_', '/')}"
    for name, r in data["radial_distributions"].items():
        if r["first_peak_A"] is None:
            yield f"g({name}): no pairs below {r['range_A']:.2f} A"
            continue
        text = f"{f'g({name})':13} first peak at {r['first_peak_A']:.2f} A"
        if shell := r["coordination"]:
            neighbours = with_error(shell["mean"], shell["error"])
            text += f", {neighbours} neighbours below {r['first_minimum_A']:.2f} A"
        yield text
    if reason := data["no_radial_distributions"]:
        yield f"no radial distribution: {reason}"
    for name, d in data["diffusion_in_cell_A2_per_ps"].items():
        text = f"{f'D({name})':13} {with_error(d['coefficient'], d['error'])} A^2/ps"
        if d["corrected_for_finite_size"] is not None:
            text += f", {d['corrected_for_finite_size']:.3g} in an infinite cell"
        if not d["diffuses"]:
            power = "" if d["exponent"] is None else f": grows as t^{d['exponent']:.2f}"
            text += f" (no diffusion{power})"
        yield text
    if reason := data["no_diffusion_in_cell"]:
        yield f"no diffusion: {reason}"
    yield from data["diffusion_notes"]


def _ensemble_text(found: EnsembleAnalysis) -> str:
    lines = []
    for group in found.groups:
        n = len(group.members)
        lines.append(f"{group.name or found.folder.name}: {n} member{'s' if n > 1 else ''}")
        table = [HEAD, *rows(group)]
        widths = [max(len(row[k]) for row in table) for k in range(len(HEAD))]
        lines += ["  ".join(map(str.ljust, row, widths)).rstrip() for row in table]
    lines += [f"left out: {name}: {reason}" for name, reason in found.skipped]
    return "\n".join(lines)


def _comparison_text(found: Comparison) -> str:
    table = comparison_report.verdict_table(found)
    rows = [table.head, *table.rows]
    widths = [max(len(row[k]) for row in rows) for k in range(len(table.head))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in rows]
    return "\n".join([*lines, *found.notes, f"verdict: {found.verdict}"])
