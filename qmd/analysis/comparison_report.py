"""Report of `qmd compare`."""

from typing import Any

import numpy as np

from qmd.analysis.compare import Comparison
from qmd.analysis.conservation import Conservation
from qmd.analysis.report import distributions, draw_spectra
from qmd.report.figures import COLOURS, legend, lines, png
from qmd.report.page import Figure, Page, Section, Table
from qmd.report.viewer import viewer


def page(found: Comparison) -> Page:
    """Return the report: the verdict, then the evidence."""
    model, reference = found.model, found.reference
    how = (
        "run again from the start of the reference, with its time step"
        if found.replayed
        else "run from the start of the reference"
    )
    lead = (
        f"{' '.join(model.species)}: {model.name}, {how}, against {reference.name}; "
        f"{model.times_ps[-1]:g} ps in steps of {reference.timestep_fs:g} fs."
    )
    sections = [
        _verdict(found),
        Section(
            "Motion of the model", viewer=viewer(model.species, model.positions, model.times_ps)
        ),
        _energies(found),
        _paths(found),
        _spectra(found),
        Section("Distributions", figures=distributions(list(found.coordinates), _names(found))),
        _minima(found),
    ]
    kept = tuple(s for s in sections if s.text or s.table or s.figures or s.viewer)
    title = f"{model.name} against {reference.name}"
    return Page(title, lead, verdict=found.verdict, sections=kept)


def _names(found: Comparison) -> tuple[str, str]:
    same = found.model.name == found.reference.name
    return (found.model.name, "reference" if same else found.reference.name)


def verdict_table(found: Comparison) -> Table:
    """Return a table of the criteria with their values and limits."""
    rows = tuple(
        (c.name, f"{c.value:.3g} {c.unit}".strip(), f"{c.limit:.3g}", "yes" if c.ok else "NO")
        for c in found.criteria
    )
    return Table(("criterion", "value", "limit", "within"), rows)


def _verdict(found: Comparison) -> Section:
    return Section("Verdict", " ".join(found.notes), verdict_table(found))


def _energies(found: Comparison) -> Section:
    model, reference = found.model, found.reference

    def row(name: str, c: Conservation) -> tuple[str, ...]:
        drift = f"{c.drift_meV_per_atom_ps:.2e} +- {c.drift_error_meV_per_atom_ps:.1e}"
        return (
            name, drift, f"{c.drift_kT_per_ns_dof:.2e}", f"{c.drift_ratio:.2e}",
            f"{c.fluctuation_meV_per_atom:.3g}",
        )  # fmt: skip

    names = _names(found)
    head = "", "drift, meV/atom/ps", "kT/ns/dof", "drift ratio", "fluctuation, meV/atom"
    rows = tuple(row(name, c) for name, c in zip(names, found.drift, strict=True))

    def total(log: Any) -> np.ndarray:
        return np.asarray(1000 * (log.total - log.total.mean()) / model.n_atoms)

    def draw(left: Any, right: Any) -> None:
        for axis, name, run in ((left, names[0], model), (right, names[1], reference)):
            lines(axis, run.log.times_ps, [(name, total(run.log))])
            axis.set(xlabel="time (ps)", ylabel="total energy (meV/atom)")
            axis.set_title(name, fontsize="small")
        low, high = zip(left.get_ylim(), right.get_ylim(), strict=True)
        for axis in (left, right):
            axis.set_ylim(min(low), max(high))

    figure = Figure(png(draw, columns=2), "Total energies about their means, on one scale.")
    return Section("Energy conservation", table=Table(head, rows), figures=(figure,))


def _paths(found: Comparison) -> Section:
    model, along, checked = found.model, found.along_reference, found.along_model

    def draw(first: Any, second: Any, third: Any) -> None:
        lines(first, model.times_ps, [("", found.divergence_A)])
        if found.divergence_A.any():
            first.set_yscale("log", nonpositive="mask")
        first.set(xlabel="time (ps)", ylabel="distance (\u00c5)")
        lines(second, found.reference.times_ps, [("", 1000 * along.force_errors)])
        second.set(xlabel="time (ps)", ylabel="force error (meV/\u00c5)")
        if checked is None:
            third.set_axis_off()
            return
        third.plot(
            checked.times_ps, 1000 * checked.total, "o-", color=COLOURS[1], label="reference"
        )
        own = model.log.total - model.log.total[0]
        third.plot(
            model.log.times_ps, 1000 * own, "-", color=COLOURS[0], label="model", linewidth=0.8
        )
        third.set(xlabel="time (ps)", ylabel="total energy (meV)")
        legend(third)

    caption = (
        "Left: root mean square distance of the two trajectories. Middle: force error of the model "
        "along the path of the reference. Right: total energy along the path of the model, with "
        "the potential energy of either: a model may conserve a wrong energy."
    )
    return Section("Along both paths", figures=(Figure(png(draw, columns=3), caption),))


def _spectra(found: Comparison) -> Section:
    if found.spectra is None:
        return Section("Vibrations")
    model, reference = found.spectra
    nearest = [
        model.peaks[np.abs(model.peaks - line).argmin()] if len(model.peaks) else np.nan
        for line in reference.peaks
    ]
    rows = tuple(
        (f"{line:.0f}", f"{ours:.0f}", f"{ours - line:+.1f}")
        for line, ours in zip(reference.peaks, nearest, strict=True)
    )
    names = _names(found)

    def draw(axis: Any) -> None:
        draw_spectra(axis, list(zip(names, found.spectra or (), strict=True)))

    text = f"A sharp line is {reference.resolution_per_cm:.0f} 1/cm wide in a run of this length."
    head = f"{names[1]}, 1/cm", f"nearest of {names[0]}", "shift"
    figure = Figure(png(draw), "Vibrational densities of states, root.")
    return Section("Vibrations", text, Table(head, rows), (figure,))


def _minima(found: Comparison) -> Section:
    if found.minima is None:
        return Section("Minimum")
    modes = zip(*(m.wavenumbers for m in found.minima), strict=True)
    rows = tuple((f"{t:.1f}", f"{o:.1f}", f"{o - t:+.1f}") for o, t in modes)
    names = _names(found)
    head = f"{names[1]}, 1/cm", names[0], "shift"
    text = "Normal modes at the two minima; the verdict has the geometry."
    return Section("Minimum", text, Table(head, rows))
