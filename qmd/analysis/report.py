"""Report of `qmd analyze`."""

from typing import Any

import numpy as np

from qmd.analysis import spectrum, statistics
from qmd.analysis.analyze import Analysis
from qmd.analysis.condensed.radial import RadialDistribution
from qmd.analysis.internal import Coordinate
from qmd.analysis.spectrum import Spectrum
from qmd.report.figures import COLOURS, histograms, legend, lines, png
from qmd.report.page import Figure, Page, Section, Table
from qmd.report.viewer import Viewer, viewer
from qmd.system.topology import formula

SHOWN_PER_CM = 4500.0
LISTED = 20
"""Number of atoms up to which all are named; of more, the formula is."""


def page(found: Analysis) -> Page:
    """Return the report of a run.

    Energy, temperature, geometry, spectrum and time step; in a cell also its density, the radial
    distributions and the diffusion.
    """
    run = found.run
    length = run.log.times_ps[-1] - run.log.times_ps[0]
    atoms = " ".join(run.species) if run.n_atoms <= LISTED else formula(run.species)
    lead = (
        f"{atoms} on {run.name}: {length:g} ps in steps of {run.timestep_fs:g} fs, "
        f"{len(run.times_ps)} frames."
    )
    sections = [
        Section("Motion", viewer=_motion(found)),
        _energy(found),
        _temperature(found),
        _bulk(found),
        _radial(found),
        _displacement(found),
        _geometry(found),
        _spectrum(found),
        _timestep(found),
    ]
    kept = tuple(s for s in sections if s and (s.text or s.table or s.figures or s.viewer))
    folder = run.folder.resolve()
    name = folder.parent.name if folder.name == "output" else folder.name
    return Page(f"Analysis of {name}", lead, sections=kept)


def _motion(found: Analysis) -> Viewer | None:
    run = found.run
    return viewer(run.species, run.positions, run.times_ps, run.cells, run.molecules)


def _bulk(found: Analysis) -> Section:
    rows = tuple(
        (b.name, f"{statistics.with_error(b.mean.value, b.mean.error)} {b.unit}",
         f"{b.mean.independent:.0f} independent samples")
        for b in found.bulk
    )  # fmt: skip
    if not rows:
        return Section("Cell")

    def draw(*axes: Any) -> None:
        for axis, b in zip(np.atleast_1d(axes), found.bulk, strict=True):
            lines(axis, b.times_ps, [(b.name, b.values)])
            axis.set(xlabel="time (ps)", ylabel=f"{b.name} ({b.unit})")

    figure = Figure(png(draw, columns=len(rows)), "Density, volume and pressure.")
    text = "Means of the part after equilibration, with standard errors."
    return Section("Cell", text, Table(("quantity", "mean", ""), rows), figures=(figure,))


def _radial(found: Analysis) -> Section:
    title = "Radial distributions"
    if not found.radial:
        return Section(title)
    rows = tuple(
        (r.name, _distance(r.peak_A), _distance(r.minimum_A), _shell(r.coordination),
         _shell(r.coordination_of_second))
        for r in found.radial
    )  # fmt: skip
    figures = []
    for begin in range(0, len(found.radial), 3):
        row = found.radial[begin : begin + 3]

        def draw(*axes: Any, row: list[RadialDistribution] = row) -> None:
            for axis, r in zip(axes, row, strict=True):
                axis.fill_between(
                    r.radii, r.values - r.errors, r.values + r.errors, color=COLOURS[0], alpha=0.3
                )
                axis.plot(r.radii, r.values, color=COLOURS[0], linewidth=1)
                axis.axhline(1.0, color="grey", linewidth=0.5)
                axis.set(xlabel="distance (A)", ylabel=f"g, {r.name}")

        caption = "Radial distribution functions with standard errors from blocks."
        figures.append(Figure(png(draw, columns=len(row), height=2.6), caption))
    end = found.radial[0].radii[0] + found.radial[0].radii[-1]
    text = (
        f"Up to {end:.2f} A, below half of the smallest height of the cell; 1 for an ideal gas. "
        "Neighbours are counted up to the first minimum: those of the second element about an atom "
        "of the first one, and the reverse."
    )
    head = "pair", "first peak", "first minimum", "neighbours", "of the second"
    return Section(title, text, Table(head, rows), figures=tuple(figures))


def _distance(value: float | None) -> str:
    return "none" if value is None else f"{value:.2f} A"


def _shell(mean: statistics.Mean | None) -> str:
    return "" if mean is None else statistics.with_error(mean.value, mean.error)


def _displacement(found: Analysis) -> Section:
    title, moved = "Diffusion", found.displacements
    if not moved:
        return Section(title)
    rows = tuple(
        (d.name, f"{statistics.with_error(d.coefficient, d.error)} A^2/ps",
         "" if d.corrected is None else f"{d.corrected:.3g} A^2/ps",
         "none" if d.exponent is None else f"t^{d.exponent:.2f}", "yes" if d.diffuses else "NO")
        for d in moved
    )  # fmt: skip

    def draw(axis: Any) -> None:
        lines(axis, moved[0].lags_ps, [(d.name, d.values) for d in moved])
        axis.set(xlabel="lag (ps)", ylabel="mean square displacement (A^2)")

    figure = Figure(png(draw), "Mean square displacements about the centre of mass.")
    head = "particles", "coefficient", "in an infinite cell", "growth", "diffuses"
    return Section(title, " ".join(found.displacement_notes), Table(head, rows), figures=(figure,))


def _energy(found: Analysis) -> Section:
    run, result = found.run, found.conservation
    total = 1000 * (run.log.total - run.log.total.mean()) / run.n_atoms

    def draw(left: Any, right: Any) -> None:
        lines(left, run.log.times_ps, [("total energy", total)])
        left.set(xlabel="time (ps)", ylabel="total energy (meV/atom)")
        parts = [("potential", run.log.potential), ("kinetic", run.log.kinetic)]
        lines(right, run.log.times_ps, parts)
        right.set(xlabel="time (ps)", ylabel="energy (eV)")

    figure = Figure(png(draw, columns=2), "Total energy about its mean, and its parts.")
    if result is None:
        text = "The thermostat exchanges energy with the atoms: its energy is not constant."
        return Section("Energy", text, figures=(figure,))
    rows = (
        ("drift", f"{result.drift_meV_per_atom_ps:.2e} meV/atom/ps",
         f"+- {result.drift_error_meV_per_atom_ps:.1e}"),
        ("", f"{result.drift_kT_per_ns_dof:.2e} kT/ns/dof", ""),
        ("drift ratio", f"{result.drift_ratio:.2e}", "drift over the run / std of kinetic energy"),
        ("fluctuation", f"{result.fluctuation_meV_per_atom:.3g} meV/atom", "about the line, rms"),
    )  # fmt: skip
    return Section(
        "Energy conservation", "", Table(("quantity", "value", ""), rows), figures=(figure,)
    )


def _temperature(found: Analysis) -> Section:
    run, heat = found.run, found.temperature
    rows = [
        ("mean", f"{heat.mean:.1f} +- {heat.error:.1f} K",
         f"{heat.independent:.0f} independent samples"),
        ("on-step velocities are too cold by", f"{heat.too_cold:.2f} K", "due to the time step"),
    ]  # fmt: skip
    if heat.predicted is not None:
        rows.insert(1, ("predicted", f"{heat.predicted:.1f} K", "thermostat, less the next line"))
    lengths, errors = statistics.block_errors(run.log.temperature)
    interval = float(np.diff(run.log.times_ps).mean())

    def draw(left: Any, right: Any) -> None:
        lines(left, run.log.times_ps, [("temperature", run.log.temperature)])
        left.set(xlabel="time (ps)", ylabel="temperature (K)")
        right.semilogx(lengths * interval, errors, "o-", color=COLOURS[0])
        right.set(xlabel="block (ps)", ylabel="error of the mean (K)")

    figure = Figure(png(draw, columns=2), "Temperature, and the error of its mean from blocks.")
    return Section(
        "Temperature", "", Table(("quantity", "value", ""), tuple(rows)), figures=(figure,)
    )


def _geometry(found: Analysis) -> Section:
    rows = []
    for c in found.coordinates:
        mean = statistics.mean(c.values.mean(axis=1))
        rows.append(
            (c.name, f"{mean.value:.4f} +- {mean.error:.1g}", f"{c.values.std():.4f}",
             f"{c.values.min():.3f} to {c.values.max():.3f}", c.unit)
        )  # fmt: skip
    text = ""
    if found.hydrogen_bonds:
        bonds = found.hydrogen_bonds
        life = "" if bonds.lifetime_ps is None else f" They last {bonds.lifetime_ps:.2g} ps."
        number = statistics.with_error(bonds.mean, statistics.mean(bonds.counts).error)
        text = (
            f"{number} hydrogen bonds per frame; {100 * bonds.share_bonded:.0f} % of the "
            f"frames have one or more; the bonded pairs change {bonds.switches} times.{life}"
        )
    if found.diffusion:
        d = found.diffusion
        text += (
            f" The centre of mass diffuses with {d.coefficient:.3g} A^2/ps; kT/(M friction) is "
            f"{d.einstein:.3g}."
        )
    head = "coordinate", "mean", "std", "range", "unit"
    return Section(
        "Geometry",
        text.strip(),
        Table(head, tuple(rows)),
        figures=distributions([found.coordinates]),
    )


def distributions(
    sets: list[list[Coordinate]], names: tuple[str, ...] = ("",)
) -> tuple[Figure, ...]:
    """Plot the distributions of equivalent coordinates, three plots in a row."""
    groups = list(zip(*sets, strict=True))
    figures = []
    for begin in range(0, len(groups), 3):
        row = groups[begin : begin + 3]

        def draw(*axes: Any, row: list[tuple[Coordinate, ...]] = row) -> None:
            for axis, group in zip(axes, row, strict=True):
                label = f"{group[0].name} ({group[0].unit})"
                histograms(axis, label, [(n, c.values) for n, c in zip(names, group, strict=True)])

        figures.append(Figure(png(draw, columns=len(row), height=2.6), "Distributions."))
    return tuple(figures)


def _spectrum(found: Analysis) -> Section:
    if found.spectrum is None or found.correlation is None:
        return Section("Vibrations", f"None: {found.no_spectrum}.")
    lag = found.run.times_ps - found.run.times_ps[0]
    correlation = found.correlation[: max(2, len(lag) // 2)]
    result = found.spectrum

    def draw(left: Any, right: Any) -> None:
        lines(left, lag[: len(correlation)], [("", correlation)])
        left.set(xlabel="lag (ps)", ylabel="velocity autocorrelation")
        draw_spectra(right, [("", result)])

    errors = [""] * len(result.peaks)
    if result.peak_errors is not None:
        errors = [f" +- {error:.0f}" for error in result.peak_errors]
    places = (f"{x:.0f}{error}" for x, error in zip(result.peaks, errors, strict=True))
    text = "Lines at " + ", ".join(places) + " 1/cm"
    text += f"; a sharp line is {result.resolution_per_cm:.0f} 1/cm wide."
    if result.errors is None:
        text += (
            f" The run is too short for errors: {spectrum.MIN_SEGMENTS} segments of "
            f"{spectrum.SEGMENT_PS:g} ps, overlapping by half, are needed."
        )
    figure = Figure(png(draw, columns=2), "Velocity autocorrelation and density of states.")
    return Section("Vibrations", text, figures=(figure,))


def draw_spectra(axis: Any, many: list[tuple[str, Spectrum]]) -> None:
    """Draw densities of states over their wavenumbers, with bands of one standard error."""
    for k, (name, one) in enumerate(many):
        shown = one.wavenumbers < SHOWN_PER_CM
        at, density = one.wavenumbers[shown], one.density[shown]
        style = "-" if k == 0 else "--"
        axis.plot(at, np.sqrt(density), style, color=COLOURS[k], label=name, linewidth=1)
        if one.errors is not None:
            low, high = (density + sign * one.errors[shown] for sign in (-1, 1))
            band = np.sqrt(np.maximum(low, 0)), np.sqrt(high)
            axis.fill_between(at, *band, color=COLOURS[k], alpha=0.3, linewidth=0)
    axis.set(xlabel="wavenumber (1/cm)", ylabel="density of states, root", yticks=[])
    if len(many) > 1:
        legend(axis)


def _timestep(found: Analysis) -> Section:
    if found.advice is None:
        return Section(
            "Time step", "Not tested: the potential is a reference method, or cannot be found."
        )
    a = found.advice
    rows = tuple(
        (f"{dt:g} fs", f"{rms:.3g} meV/atom")
        for dt, rms in zip(a.timesteps_fs, a.fluctuations, strict=True)
    )
    good = (
        f" It stays below 0.2 meV/atom up to {a.largest_good_fs:.2f} fs."
        if a.largest_good_fs is not None
        else " The surface alone causes more than 0.2 meV/atom, which no time step removes."
    )
    text = (
        "The run was repeated at constant energy with shorter time steps. Of the fluctuation of "
        f"the total energy, {a.of_integrator:.3g} meV/atom come from the integrator and fall as "
        f"the square of the time step; {a.of_surface:.2g} come from the surface and do not.{good}"
    )

    def draw(axis: Any) -> None:
        dt = np.array(a.timesteps_fs)
        axis.loglog(dt, a.fluctuations, "o", color=COLOURS[0], label="measured")
        axis.loglog(dt, a.of_integrator * (dt / dt[0]) ** 2, "-", color=COLOURS[1], label="dt^2")
        axis.set(xlabel="time step (fs)", ylabel="fluctuation (meV/atom)")
        legend(axis)

    figure = Figure(png(draw), "Fluctuation of the total energy at shorter time steps.")
    return Section("Time step", text, Table(("time step", "fluctuation, rms"), rows), (figure,))
