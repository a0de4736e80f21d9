"""Report of `qmd analyze` on an ensemble."""

from typing import Any

import numpy as np

from qmd.analysis.ensemble import HEAD, EnsembleAnalysis, Group, rows
from qmd.analysis.report import SHOWN_PER_CM
from qmd.report.figures import COLOURS, png
from qmd.report.page import Figure, Page, Section, Table


def page(found: EnsembleAnalysis) -> Page:
    """Return the report: means over the members of each group, then the members."""
    n = len(found.members)
    run = found.members[0].analysis.run
    many = f" in {len(found.groups)} groups of equal settings" if len(found.groups) > 1 else ""
    lead = (
        f"{' '.join(run.species)} on {run.name}: {n} member{'s' if n > 1 else ''}{many}. Means "
        "over members that differ in the seed only, with the standard error of the mean: the "
        "standard deviation over the members, divided by the root of their number."
    )
    sections = [_group(group) for group in found.groups]
    sections += [_members(found), *([_skipped(found)] if found.skipped else [])]
    return Page(f"Analysis of {found.folder.resolve().name}", lead, sections=tuple(sections))


def _group(group: Group) -> Section:
    n = len(group.members)
    text = f"{n} member{'s' if n > 1 else ''}."
    if n == 1:
        text += " One member has no standard error over members; its own is in its report."
    figures = [_temperatures(group)]
    if group.spectrum is not None:
        figures.append(_spectrum(group))
    return Section(
        group.name or "Means", text, Table(HEAD, tuple(rows(group))), figures=tuple(figures)
    )


def _temperatures(group: Group) -> Figure:
    found = [member.analysis.temperature for member in group.members]
    merged = group.merged["temperature"]

    def draw(axis: Any) -> None:
        at = np.arange(1, len(found) + 1)
        axis.errorbar(
            at, [t.mean for t in found], [t.error for t in found], fmt="o", color=COLOURS[0]
        )
        axis.axhline(merged.mean, color=COLOURS[1], linewidth=1)
        if merged.error is not None:
            low, high = merged.mean - merged.error, merged.mean + merged.error
            axis.axhspan(low, high, color=COLOURS[1], alpha=0.2)
        axis.set(xlabel="member", ylabel="temperature (K)")

    return Figure(
        png(draw, height=2.4), "Temperature of each member with its own error, and their mean."
    )


def _spectrum(group: Group) -> Figure:
    assert group.spectrum is not None
    wavenumbers, density = group.spectrum
    shown = wavenumbers < SHOWN_PER_CM

    def draw(axis: Any) -> None:
        axis.plot(wavenumbers[shown], np.sqrt(density[shown]), color=COLOURS[0], linewidth=1)
        axis.set(xlabel="wavenumber (1/cm)", ylabel="density of states, root", yticks=[])

    return Figure(png(draw, height=2.4), "Density of states, mean over the members.")


def _members(found: EnsembleAnalysis) -> Section:
    rows = tuple(
        (
            member.name,
            f"{run.log.times_ps[-1] - run.log.times_ps[0]:g} ps",
            f"{heat.mean:.1f} +- {heat.error:.1f}",
            "" if energy is None else f"{energy.drift_meV_per_atom_ps:.2e}",
        )
        for member in found.members
        for run, heat, energy in [
            (member.analysis.run, member.analysis.temperature, member.analysis.conservation)
        ]
    )
    head = "member", "length", "temperature (K)", "drift (meV/atom/ps)"
    return Section("Members", "The analysis of a single member has more.", Table(head, rows))


def _skipped(found: EnsembleAnalysis) -> Section:
    return Section("Left out", "", Table(("folder", "reason"), found.skipped))
