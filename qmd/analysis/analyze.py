"""`qmd analyze`: analysis of one run."""

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from qmd.analysis import diffusion, hydrogen_bonds, internal, spectrum, statistics
from qmd.analysis.advisor import Advice, advise
from qmd.analysis.conservation import Conservation, conservation
from qmd.analysis.diffusion import Diffusion
from qmd.analysis.hydrogen_bonds import HydrogenBonds
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
    advice: Advice | None


def analyze(
    run_dir: str | PathLike[str],
    *,
    timestep: bool = True,
    replica: int | None = None,
    verify: bool = False,
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
    return Analysis(
        run,
        conservation(run) if run.conserves_energy else None,
        temperature(run),
        internal.coordinates(run),
        hydrogen_bonds.hydrogen_bonds(run_dir, replica),
        no_spectrum,
        None if no_spectrum else spectrum.velocity_autocorrelation(run),
        None if no_spectrum else spectrum.spectrum(run),
        diffusion.diffusion(run),
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
        "hydrogen_bonds": found.hydrogen_bonds and found.hydrogen_bonds._asdict(),
        "diffusion_A2_per_ps": found.diffusion and found.diffusion._asdict(),
        "timestep": found.advice and found.advice._asdict(),
    }  # fmt: skip
    if found.spectrum is not None:
        data["vdos_peaks_per_cm"] = found.spectrum.peaks.tolist()
        data["vdos_resolution_per_cm"] = found.spectrum.resolution_per_cm
    return data


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
