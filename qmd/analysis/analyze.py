"""`qmd analyze`: analysis of one run."""

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from qmd.analysis import diffusion, internal, spectrum, statistics
from qmd.analysis.advisor import Advice, advise
from qmd.analysis.condensed import bulk, displacement, hydrogen_bonds, radial
from qmd.analysis.condensed.bulk import Bulk
from qmd.analysis.condensed.displacement import Displacement
from qmd.analysis.condensed.hydrogen_bonds import HydrogenBonds
from qmd.analysis.condensed.radial import RadialDistribution
from qmd.analysis.conservation import Conservation, conservation
from qmd.analysis.diffusion import Diffusion
from qmd.analysis.internal import Coordinate
from qmd.analysis.series import Series, read
from qmd.analysis.spectrum import Spectrum
from qmd.analysis.temperature import Temperature, temperature
from qmd.errors import InputError
from qmd.io.universe import find
from qmd.io.verify import verify as verify_outputs

MIN_ROWS = 8
"""Smallest number of frames, and of rows of the log, that can be analysed."""


@dataclass(frozen=True, eq=False)
class Analysis:
    """Results of the analysis of a run; None for quantities that do not apply to it."""

    run: Series
    conservation: Conservation | None
    temperature: Temperature
    coordinates: list[Coordinate]
    hydrogen_bonds: HydrogenBonds | None
    no_spectrum: str | None
    """Reason why there is no spectrum, or None if there is one."""
    correlation: np.ndarray | None
    spectrum: Spectrum | None
    diffusion: Diffusion | None
    bulk: list[Bulk]
    """Density, volume and pressure of a system in a cell."""
    radial: list[RadialDistribution]
    """Radial distribution of each pair of elements in a cell."""
    displacements: list[Displacement]
    """Mean square displacements of elements and molecules in a cell."""
    displacement_notes: list[str]
    """What a reader of their diffusion coefficients has to know."""
    advice: Advice | None


def analyze(
    run_dir: str | PathLike[str],
    *,
    timestep: bool = True,
    replica: int | None = None,
    verify: bool = False,
    viscosity_mPa_s: float | None = None,
) -> Analysis:
    """Read and analyse a run.

    Parameters
    ----------
    run_dir : path
        Folder of the run, or its folder `output/`.
    timestep : bool
        Run the potential again at shorter time steps; see `advisor`.
    replica : int, optional
        Replica to analyse, in a run of several.
    verify : bool
        First compare all outputs with the digests in the last checkpoint, see `qmd.io.verify`.
    viscosity_mPa_s : float, optional
        Viscosity for the finite-size correction of diffusion coefficients; see `displacement`.

    Raises
    ------
    InputError, CorruptError
        If files are missing, damaged or truncated, or contain too few frames.
    """
    if verify:
        verify_outputs(find(Path(run_dir)))
    run = read(run_dir, replica)
    if len(run.log.times_ps) < MIN_ROWS or len(run.times_ps) < MIN_ROWS:
        raise InputError(
            f"{run.folder} has {len(run.times_ps)} frames and {len(run.log.times_ps)} rows of log; "
            f"an analysis needs {MIN_ROWS} of both"
        )
    no_spectrum = spectrum.missing(run)
    moved = displacement.displacements(run, viscosity_mPa_s)
    return Analysis(
        run,
        conservation(run) if run.conserves_energy else None,
        temperature(run),
        internal.coordinates(run),
        hydrogen_bonds.hydrogen_bonds(run),
        no_spectrum,
        None if no_spectrum else spectrum.velocity_autocorrelation(run),
        None if no_spectrum else spectrum.spectrum(run),
        diffusion.diffusion(run),
        bulk.bulk(run),
        radial.radial_distributions(run),
        moved,
        displacement.notes(run, viscosity_mPa_s) if moved else [],
        advise(run) if timestep else None,
    )


def as_data(found: Analysis) -> dict[str, Any]:
    """Return the results for `--json`, with units in the keys."""
    run, heat = found.run, found.temperature
    data: dict[str, Any] = {
        "potential": run.name,
        "species": list(run.species),
        "frames": len(run.times_ps),
        "length_ps": float(run.log.times_ps[-1] - run.log.times_ps[0]),
        "timestep_fs": run.timestep_fs,
        "energy_conservation": found.conservation and found.conservation._asdict(),
        "temperature": {f"{name}_K" if name != "independent" else name: value
                        for name, value in heat._asdict().items()},
        "coordinates": {c.name: _summary(c) for c in found.coordinates},
        "hydrogen_bonds": found.hydrogen_bonds and _bonds(found.hydrogen_bonds),
        "diffusion_A2_per_ps": found.diffusion and found.diffusion._asdict(),
        "timestep": found.advice and found.advice._asdict(),
    }  # fmt: skip
    if run.cells is not None:
        data |= _in_cell(found)
    if found.spectrum is not None:
        data["vdos_peaks_per_cm"] = found.spectrum.peaks.tolist()
        errors = found.spectrum.peak_errors
        data["vdos_peak_errors_per_cm"] = None if errors is None else errors.tolist()
        data["vdos_resolution_per_cm"] = found.spectrum.resolution_per_cm
    return data


BULK_KEYS = {"density": "g_per_cm3", "volume": "A3", "pressure": "bar"}
"""Units of the quantities of the cell, as keys have them."""


def _in_cell(found: Analysis) -> dict[str, Any]:
    return {
        "cell": {f"{b.name}_{BULK_KEYS[b.name]}": _mean(b.mean) for b in found.bulk},
        "radial_distributions": {
            r.name: {
                "range_A": float(r.radii[0] + r.radii[-1]),
                "first_peak_A": r.peak_A,
                "first_minimum_A": r.minimum_A,
                "coordination": r.coordination and _mean(r.coordination),
                "coordination_of_second": r.coordination_of_second
                and _mean(r.coordination_of_second),
                "r_A": r.radii.round(6).tolist(),
                "g": r.values.tolist(),
                "g_error": r.errors.tolist(),
            }
            for r in found.radial
        },
        "no_radial_distributions": radial.missing(found.run),
        "diffusion_in_cell_A2_per_ps": {
            d.name: {
                "coefficient": d.coefficient,
                "error": d.error,
                "exponent": d.exponent,
                "diffuses": d.diffuses,
                "corrected_for_finite_size": d.corrected,
            }
            for d in found.displacements
        },
        "no_diffusion_in_cell": displacement.missing(found.run),
        "diffusion_notes": found.displacement_notes,
    }


def _mean(mean: statistics.Mean) -> dict[str, float]:
    return {"mean": mean.value, "error": mean.error}


def _bonds(bonds: HydrogenBonds) -> dict[str, Any]:
    data = bonds._asdict()
    return data | {"error": statistics.mean(data.pop("counts")).error}


def _summary(coordinate: Coordinate) -> dict[str, Any]:
    found = statistics.mean(coordinate.values.mean(axis=1))
    return {
        "unit": coordinate.unit,
        "mean": found.value,
        "error": found.error,
        "std": float(coordinate.values.std()),
        "min": float(coordinate.values.min()),
        "max": float(coordinate.values.max()),
    }
