"""`qmd compare`: comparison of the dynamics of a potential with that of its reference."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import wasserstein_distance

from qmd.analysis import internal, spectrum
from qmd.analysis.conservation import Conservation, conservation
from qmd.analysis.internal import Coordinate
from qmd.analysis.potential_of_run import RunPotential, potential_of_run
from qmd.analysis.replay import first_frames, replay, same_start
from qmd.analysis.series import Series
from qmd.analysis.spectrum import Spectrum
from qmd.analysis.statics.minima import minimum_of as model_minimum
from qmd.analysis.statics.minima import reference_minimum
from qmd.analysis.statics.minimum import Minimum
from qmd.errors import InputError, MismatchError, QmdError
from qmd.typing import Array

OnProgress = Callable[[str, int, int], None]
"""Function of the current activity, the amount done, and the total."""


class Limits(NamedTuple):
    """Largest differences that still count as the same; chosen by this project."""

    forces_meV_per_A: float = 25.0
    """Root mean square force error along the path of the reference."""
    energy_meV: float = 5.0
    """Standard deviation of the energy error along either path: a fifth of kT at 300 K."""
    bend_per_cm: float = 10.0
    """Shift of a line below `STRETCH_PER_CM`."""
    stretch_per_cm: float = 20.0
    bond_A: float = 0.002
    """Difference at the minimum; distributions may differ by twice as much."""
    angle_deg: float = 0.3
    apart_A: float = 0.02


STRETCH_PER_CM = 2500.0
LOWEST_LINE_PER_CM = 1000.0
"""Lowest line that enters the verdict; lines of rotation and between molecules lie below it, and
are not resolved in a few picoseconds."""
STRONG = 0.02
"""Smallest height of a line of the reference in the verdict, relative to the strongest line."""
WIDE_PER_CM = 50.0
"""Width of a line above which a measured shift may belong to another line."""
TIMES_FOR_DISTRIBUTION = 2.0


class Criterion(NamedTuple):
    """Row of the verdict."""

    name: str
    value: float
    limit: float
    unit: str

    @property
    def ok(self) -> bool:
        return bool(self.value <= self.limit)  # NaN is not


class AlongPath(NamedTuple):
    """Errors of the model at the frames of the reference."""

    energy_errors: Array
    """Energy errors, eV, less their mean; (n_frames,)."""
    force_errors: Array
    """Root mean square force error of each frame, eV/angstrom; (n_frames,)."""


class Checked(NamedTuple):
    """Reference energies at some frames of the path of the model."""

    times_ps: Array
    total: Array
    """Potential energy of the reference plus kinetic energy, eV, less the first value."""
    errors: Array
    """Energies of the model less those of the reference, eV, less the mean."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Both trajectories, the quantities computed from them, and the verdict."""

    model: Series
    reference: Series
    replayed: bool
    """True if the model was run again from the start of the reference."""
    divergence_A: Array
    """Root mean square distance of the two trajectories over the atoms, (n_frames,)."""
    drift: tuple[Conservation, Conservation]
    along_reference: AlongPath
    along_model: Checked | None
    spectra: tuple[Spectrum, Spectrum] | None
    coordinates: tuple[list[Coordinate], list[Coordinate]]
    minima: tuple[Minimum, Minimum] | None
    criteria: tuple[Criterion, ...]
    notes: tuple[str, ...]
    """Quantities that could not be computed, with the reasons."""

    @property
    def verdict(self) -> str:
        """Verdict: `same` or `differs`."""
        return "same" if all(c.ok for c in self.criteria) else "differs"


def compare(
    run: Series | RunPotential,
    reference: Series,
    *,
    points: int = 20,
    limits: Limits = Limits(),  # noqa: B008  (frozen)
    on_progress: OnProgress = lambda what, done, of: None,
) -> Comparison:
    """Compare a potential, or a run of it, with a reference trajectory.

    Parameters
    ----------
    run : Series or RunPotential
        A run with the same start as the reference is used directly; otherwise its potential runs
        again from the start of the reference.
    reference : Series
        Run at constant energy.
    points : int
        Number of frames of the path of the model at which the reference is computed; with 0, its
        method is not used.
    limits : Limits
    on_progress : callable

    Raises
    ------
    MismatchError
        If the atoms differ, or the potential of the run cannot be found.
    InputError
        If the reference is not at constant energy, or was confined, or a run is periodic.
    """
    _check_pair(run, reference)
    source = potential_of_run(run) if isinstance(run, Series) else run
    notes: list[str] = []
    failure = None
    if isinstance(run, Series) and same_start(run, reference):
        model, replayed = first_frames(run, len(reference.times_ps)), False
    else:
        model, failure = replay(reference, source, lambda k, n: on_progress("the model", k, n))
        replayed = True
    if failure:
        notes.append(f"The model failed: {failure}.")
    n = len(model.times_ps)
    along_reference = _along(reference, source, on_progress)
    method = None
    if points:
        failed = "The reference cannot be computed"
        method = _try(lambda: potential_of_run(reference), notes, failed)
    frames = np.unique(np.linspace(0, n - 1, points).round().astype(int))
    along_model = _check(model, method, frames, on_progress) if method else None
    minima = _try(
        lambda: (model_minimum(model, source), reference_minimum(reference, method, on_progress)),
        notes, "No minimum",
    )  # fmt: skip
    why = spectrum.missing(model) or spectrum.missing(reference)
    if why:
        notes.append(f"No spectrum: {why}.")
    spectra = None if why else (spectrum.spectrum(model), spectrum.spectrum(reference))
    drift = conservation(model), conservation(reference)
    coordinates = internal.coordinates(model), internal.coordinates(reference)
    gap = model.positions - reference.positions[:n]
    lines = _line_criteria(*spectra, limits) if spectra else []
    if spectra and not all(line.ok for line in lines):
        notes += _resolution_note(spectra[1])
    criteria = [
        *([Criterion("runs to its end", float("nan"), 0.0, "")] if failure else []),
        *_path_criteria(along_reference, along_model, limits),
        _drift_criterion(*drift),
        *lines,
        *_distribution_criteria(*coordinates, limits),
        *(_minimum_criteria(reference, minima, limits) if minima else []),
    ]
    return Comparison(
        model, reference, replayed, np.sqrt((gap**2).sum(axis=2).mean(axis=1)), drift,
        along_reference, along_model, spectra, coordinates, minima, tuple(criteria), tuple(notes),
    )  # fmt: skip


def _check_pair(run: Series | RunPotential, reference: Series) -> None:
    for series in (reference, run):
        if isinstance(series, Series) and series.cells is not None:
            raise InputError(
                f"{series.folder} is periodic; `qmd compare` is for isolated molecules",
                "`qmd analyze` has the structure and the dynamics of each run",
            )
    if not reference.conserves_energy:
        raise InputError(f"{reference.folder} is not a run at constant energy (velocity_verlet)")
    if reference.record["input"].get("confinement"):
        raise InputError(
            f"{reference.folder} was confined to a sphere, which is no part of a potential"
        )
    if isinstance(run, Series) and run.species != reference.species:
        raise MismatchError(
            f"{run.folder} has the atoms {' '.join(run.species)}, "
            f"but {reference.folder} has {' '.join(reference.species)}"
        )


def _try(make: Callable[[], Any], notes: list[str], what: str) -> Any:
    try:
        return make()
    except QmdError as error:
        notes.append(f"{what}: {error.message}.")
        return None


def _along(reference: Series, source: RunPotential, on_progress: OnProgress) -> AlongPath:
    energies, errors = [], []
    for k, x in enumerate(reference.positions):
        energy, forces = source.energy_and_forces(x)
        energies.append(energy)
        errors.append(np.sqrt(np.mean((forces - reference.forces[k]) ** 2)))
        on_progress("along the reference", k + 1, len(reference.positions))
    difference = np.array(energies) - reference.potential
    return AlongPath(difference - difference.mean(), np.array(errors))


def _check(model: Series, method: RunPotential, frames: Array, on_progress: OnProgress) -> Checked:
    energies = []
    for k, frame in enumerate(frames):
        energies.append(method.energy_and_forces(model.positions[frame])[0])
        on_progress("reference along the model", k + 1, len(frames))
    potential = np.array(energies)
    total = potential + model.kinetic[frames]
    errors = model.potential[frames] - potential
    return Checked(model.times_ps[frames], total - total[0], errors - errors.mean())


def _path_criteria(along: AlongPath, checked: Checked | None, limits: Limits) -> list[Criterion]:
    forces = 1000 * float(np.sqrt(np.mean(along.force_errors**2)))
    found = [
        Criterion("forces along the reference, rms", forces, limits.forces_meV_per_A, "meV/A"),
        Criterion(
            "energy error along the reference, std",
            1000 * float(along.energy_errors.std()), limits.energy_meV, "meV",
        ),
    ]  # fmt: skip
    if checked is not None:
        found.append(
            Criterion(
                "energy error along the model, std",
                1000 * float(checked.errors.std()), limits.energy_meV, "meV",
            )
        )  # fmt: skip
    return found


def _drift_criterion(model: Conservation, reference: Conservation) -> Criterion:
    """Require a drift of at most that of the reference plus twice the errors of both slopes."""
    errors = np.hypot(model.drift_error_meV_per_atom_ps, reference.drift_error_meV_per_atom_ps)
    limit = abs(reference.drift_meV_per_atom_ps) + 2 * float(errors)
    return Criterion("drift", abs(model.drift_meV_per_atom_ps), limit, "meV/atom/ps")


def _line_criteria(model: Spectrum, reference: Spectrum, limits: Limits) -> list[Criterion]:
    if not len(reference.heights):
        return []
    strong = reference.heights >= STRONG * reference.heights.max()
    found = []
    for line in reference.peaks[strong & (reference.peaks >= LOWEST_LINE_PER_CM)]:
        near = model.peaks[model.heights >= STRONG / 4 * model.heights.max()]
        shift = float(np.abs(near - line).min()) if len(near) else float("nan")
        limit = limits.bend_per_cm if line < STRETCH_PER_CM else limits.stretch_per_cm
        found.append(Criterion(f"shift of the line at {line:.0f} 1/cm", shift, limit, "1/cm"))
    return found


def _resolution_note(reference: Spectrum) -> list[str]:
    """Return a note if lines are too wide for their limits."""
    width = reference.resolution_per_cm
    if width <= WIDE_PER_CM:
        return []
    return [
        f"In a run of this length lines are {width:.0f} 1/cm wide: closer ones merge, so that a "
        "line may be missing. The normal modes at the minimum do not have this limit."
    ]


def _limit(coordinate: Coordinate, limits: Limits) -> float:
    if coordinate.unit == "deg":
        return limits.angle_deg
    return limits.apart_A if "..." in coordinate.name else limits.bond_A


def _distribution_criteria(
    model: list[Coordinate], reference: list[Coordinate], limits: Limits
) -> list[Criterion]:
    """Limit the Wasserstein distances, plus that between the halves of the reference."""
    found = []
    for ours, theirs in zip(model, reference, strict=True):
        halves = np.array_split(theirs.values, 2)
        noise = wasserstein_distance(*(half.ravel() for half in halves))
        found.append(
            Criterion(
                f"distribution of {theirs.name}, Wasserstein distance",
                float(wasserstein_distance(ours.values.ravel(), theirs.values.ravel())),
                TIMES_FOR_DISTRIBUTION * _limit(theirs, limits) + float(noise),
                theirs.unit,
            )
        )
    return found


def _minimum_criteria(
    run: Series, minima: tuple[Minimum, Minimum], limits: Limits
) -> list[Criterion]:
    model, reference = minima
    pairs = zip(
        internal.coordinates_at(run, model.positions[None]),
        internal.coordinates_at(run, reference.positions[None]),
        strict=True,
    )
    found = [
        Criterion(
            f"{theirs.name} at the minimum",
            float(np.abs(np.sort(ours.values) - np.sort(theirs.values)).max()),
            _limit(theirs, limits), theirs.unit,
        )
        for ours, theirs in pairs
    ]  # fmt: skip
    for ours, theirs in zip(model.wavenumbers, reference.wavenumbers, strict=True):
        if theirs >= LOWEST_LINE_PER_CM:
            limit = limits.bend_per_cm if theirs < STRETCH_PER_CM else limits.stretch_per_cm
            name = f"normal mode at {theirs:.0f} 1/cm"
            found.append(Criterion(name, float(abs(ours - theirs)), limit, "1/cm"))
    return found


def as_data(found: Comparison) -> dict[str, Any]:
    """Return the comparison for `--json`."""
    model, reference = found.drift
    data: dict[str, Any] = {
        "verdict": found.verdict,
        "model": found.model.name,
        "reference": found.reference.name,
        "length_ps": float(found.model.times_ps[-1]),
        "replayed": found.replayed,
        "criteria": [c._asdict() | {"ok": c.ok} for c in found.criteria],
        "drift": {"model": model._asdict(), "reference": reference._asdict()},
        "divergence_A": {"last": float(found.divergence_A[-1]),
                         "first_0.1_A_ps": _first(found, 0.1)},
        "notes": list(found.notes),
    }  # fmt: skip
    if found.spectra:
        model_lines, reference_lines = found.spectra
        both = {"model": model_lines, "reference": reference_lines}
        data["vdos_peaks_per_cm"] = {name: one.peaks.tolist() for name, one in both.items()}
        data["vdos_peak_errors_per_cm"] = {
            name: None if one.peak_errors is None else one.peak_errors.tolist()
            for name, one in both.items()
        }
    if found.minima:
        modes = (m.wavenumbers.tolist() for m in found.minima)
        data["normal_modes_per_cm"] = dict(zip(("model", "reference"), modes, strict=True))
    return data


def _first(found: Comparison, distance: float) -> float | None:
    """Return the first time, ps, at which the trajectories differ by `distance` (angstrom)."""
    beyond = np.flatnonzero(found.divergence_A > distance)
    return float(found.model.times_ps[beyond[0]]) if len(beyond) else None
