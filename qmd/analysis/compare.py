"""`qmd compare`: the dynamics of a potential beside that of its reference."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import wasserstein_distance

from qmd.analysis import internal, spectrum
from qmd.analysis.conservation import Conservation, conservation
from qmd.analysis.internal import Coordinate
from qmd.analysis.minima import minimum_of as model_minimum
from qmd.analysis.minima import reference_minimum
from qmd.analysis.minimum import Minimum
from qmd.analysis.potential_of_run import RunPotential, of_run
from qmd.analysis.replay import first_frames, replay, same_start
from qmd.analysis.series import Series
from qmd.analysis.spectrum import Spectrum
from qmd.errors import InputError, MismatchError, QmdError
from qmd.typing import Array

OnProgress = Callable[[str, int, int], None]
"""What is being done, how much of it, of how much."""


class Limits(NamedTuple):
    """What still counts as the same; choices of this project, but for the errors of sampling."""

    forces_meV_per_A: float = 25.0
    """Root mean square along the path of the reference."""
    energy_meV: float = 5.0
    """Standard deviation along either path: a fifth of kT at 300 K."""
    bend_per_cm: float = 10.0
    """Shift of a line below `STRETCH_PER_CM`."""
    stretch_per_cm: float = 20.0
    bond_A: float = 0.002
    """At the minimum; distributions may differ by twice that."""
    angle_deg: float = 0.3
    apart_A: float = 0.02


STRETCH_PER_CM = 2500.0
LOWEST_LINE_PER_CM = 1000.0
"""Lines below, of rotation and between molecules, are shown, but not judged: in a few picoseconds
they are not resolved."""
STRONG = 0.02
"""Share of the strongest line above which a line of the reference is judged."""
WIDE_PER_CM = 50.0
"""Width of a line above which a shift may be that to another line."""
TIMES_FOR_DISTRIBUTION = 2.0


class Criterion(NamedTuple):
    """A row of the verdict."""

    name: str
    value: float
    limit: float
    unit: str

    @property
    def ok(self) -> bool:
        return bool(self.value <= self.limit)  # NaN is not


class AlongPath(NamedTuple):
    """The model at the frames of the reference."""

    energy_errors: Array
    """eV, less their mean; (n_frames,)"""
    force_errors: Array
    """eV/angstrom, root mean square of each frame; (n_frames,)"""


class Checked(NamedTuple):
    """The reference at some frames of the model's path."""

    times_ps: Array
    total: Array
    """Potential energy of the reference and kinetic energy, eV, less the first."""
    errors: Array
    """Model less reference, eV, less the mean."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Both trajectories, what was computed of them, and the verdict."""

    model: Series
    reference: Series
    replayed: bool
    """Whether the model was run again from the start of the reference."""
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
    """What could not be computed, and why."""

    @property
    def verdict(self) -> str:
        """`same` or `differs`."""
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
    run : Series or Source
        A run that began like the reference is taken as it is; otherwise its potential runs again
        from the start of the reference.
    reference : Series
        At constant energy.
    points : int
        Frames of the model's path at which the reference is computed; 0: its method is not used.
    limits : Limits
    on_progress : callable

    Raises
    ------
    MismatchError
        If the atoms differ, or the potential of the run is not there.
    InputError
        If the reference is not at constant energy, or was confined.
    """
    _check_pair(run, reference)
    source = of_run(run) if isinstance(run, Series) else run
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
    judge = None
    if points:
        judge = _try(lambda: of_run(reference), notes, "The reference cannot be computed")
    frames = np.unique(np.linspace(0, n - 1, points).round().astype(int))
    along_model = _check(model, judge, frames, on_progress) if judge else None
    minima = _try(
        lambda: (model_minimum(model, source), reference_minimum(reference, judge, on_progress)),
        notes, "No minimum",
    )  # fmt: skip
    why = spectrum.missing(model) or spectrum.missing(reference)
    if why:
        notes.append(f"No spectrum: {why}.")
    spectra = None if why else (spectrum.spectrum(model), spectrum.spectrum(reference))
    drift = conservation(model), conservation(reference)
    coordinates = internal.coordinates(model), internal.coordinates(reference)
    gap = model.positions - reference.positions[:n]
    lines = _of_spectra(*spectra, limits) if spectra else []
    if spectra and not all(line.ok for line in lines):
        notes += _short(spectra[1])
    criteria = [
        *([Criterion("runs to its end", float("nan"), 0.0, "")] if failure else []),
        *_of_paths(along_reference, along_model, limits),
        _of_drift(*drift),
        *lines,
        *_of_distributions(*coordinates, limits),
        *(_of_minima(reference, minima, limits) if minima else []),
    ]
    return Comparison(
        model, reference, replayed, np.sqrt((gap**2).sum(axis=2).mean(axis=1)), drift,
        along_reference, along_model, spectra, coordinates, minima, tuple(criteria), tuple(notes),
    )  # fmt: skip


def _check_pair(run: Series | RunPotential, reference: Series) -> None:
    if not reference.conserves_energy:
        raise InputError(f"{reference.folder} is not a run at constant energy (velocity_verlet)")
    if reference.record["input"].get("confinement"):
        raise InputError(f"{reference.folder} was confined to a sphere, which no potential knows")
    if isinstance(run, Series) and run.species != reference.species:
        raise MismatchError(
            f"{run.folder} is of {' '.join(run.species)}, "
            f"but {reference.folder} of {' '.join(reference.species)}"
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


def _check(model: Series, judge: RunPotential, frames: Array, on_progress: OnProgress) -> Checked:
    energies = []
    for k, frame in enumerate(frames):
        energies.append(judge.energy_and_forces(model.positions[frame])[0])
        on_progress("reference along the model", k + 1, len(frames))
    potential = np.array(energies)
    total = potential + model.kinetic[frames]
    errors = model.potential[frames] - potential
    return Checked(model.times_ps[frames], total - total[0], errors - errors.mean())


def _of_paths(along: AlongPath, checked: Checked | None, limits: Limits) -> list[Criterion]:
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


def _of_drift(model: Conservation, reference: Conservation) -> Criterion:
    """Not larger than that of the reference, but for twice the errors of both slopes."""
    errors = np.hypot(model.drift_error_meV_per_atom_ps, reference.drift_error_meV_per_atom_ps)
    limit = abs(reference.drift_meV_per_atom_ps) + 2 * float(errors)
    return Criterion("drift", abs(model.drift_meV_per_atom_ps), limit, "meV/atom/ps")


def _of_spectra(model: Spectrum, reference: Spectrum, limits: Limits) -> list[Criterion]:
    strong = reference.heights >= STRONG * reference.heights.max()
    found = []
    for line in reference.peaks[strong & (reference.peaks >= LOWEST_LINE_PER_CM)]:
        near = model.peaks[model.heights >= STRONG / 4 * model.heights.max()]
        shift = float(np.abs(near - line).min()) if len(near) else float("nan")
        limit = limits.bend_per_cm if line < STRETCH_PER_CM else limits.stretch_per_cm
        found.append(Criterion(f"shift of the line at {line:.0f} 1/cm", shift, limit, "1/cm"))
    return found


def _short(reference: Spectrum) -> list[str]:
    """A word of doubt, where lines are too wide for their limits."""
    width = reference.resolution_per_cm
    if width <= WIDE_PER_CM:
        return []
    return [
        f"In so short a time lines are {width:.0f} 1/cm wide: closer ones merge, and what is "
        "missing may be that. The normal modes at the minimum are free of it."
    ]


def _limit(coordinate: Coordinate, limits: Limits) -> float:
    if coordinate.unit == "deg":
        return limits.angle_deg
    return limits.apart_A if "..." in coordinate.name else limits.bond_A


def _of_distributions(
    model: list[Coordinate], reference: list[Coordinate], limits: Limits
) -> list[Criterion]:
    """Wasserstein distances; what the halves of the reference differ by is allowed besides."""
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


def _of_minima(run: Series, minima: tuple[Minimum, Minimum], limits: Limits) -> list[Criterion]:
    model, reference = minima
    pairs = zip(
        internal.of_positions(run, model.positions[None]),
        internal.of_positions(run, reference.positions[None]),
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
    """For `--json`."""
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
        data["vdos_peaks_per_cm"] = {
            "model": model_lines.peaks.tolist(), "reference": reference_lines.peaks.tolist(),
        }  # fmt: skip
    if found.minima:
        modes = (m.wavenumbers.tolist() for m in found.minima)
        data["normal_modes_per_cm"] = dict(zip(("model", "reference"), modes, strict=True))
    return data


def _first(found: Comparison, distance: float) -> float | None:
    """Time, ps, at which the trajectories are `distance` (angstrom) apart."""
    beyond = np.flatnonzero(found.divergence_A > distance)
    return float(found.model.times_ps[beyond[0]]) if len(beyond) else None
