"""Advice on the time step, from runs with the same start at dt, dt/2 and dt/4.

The fluctuation of the total energy has a part due to the integrator, which falls as dt^2, and a
part due to a surface that is not smooth, which does not: ``rms^2 = (c dt^2)^2 + s^2``.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qmd import units
from qmd.analysis.series import Series
from qmd.errors import QmdError

if TYPE_CHECKING:
    from qmd.analysis.potential_of_run import RunPotential

LENGTH_PS = 5.0
"""Longest length of each of the three runs; a shorter run is repeated at its own length."""
GOOD_meV_PER_ATOM = 0.2
"""Largest fluctuation at a good time step."""
FACTORS = 1, 2, 4
SAMPLES = 2000


class Advice(NamedTuple):
    """Fluctuations (rms of the total energy, in meV per atom) at several time steps."""

    timesteps_fs: tuple[float, ...]
    fluctuations: tuple[float, ...]
    of_integrator: float
    """Part of the integrator at the time step of the run."""
    of_surface: float
    """Part of the surface, which no time step removes."""
    largest_good_fs: float | None
    """Time step with a fluctuation of `GOOD_meV_PER_ATOM`; None if the surface has more."""


def advise(run: Series) -> Advice | None:
    """Run the potential of `run` again from its first frame at shorter time steps.

    Return None for Python functions such as reference methods, whose steps cost too much, and for a
    potential that cannot be found.
    """
    from qmd.analysis.potential_of_run import potential_of_run

    if run.record["input"]["potential"]["kind"] in ("dft", "fci", "ase"):
        return None
    try:
        source = potential_of_run(run)
    except QmdError:
        return None
    if not source.compiled:
        return None
    length = min(LENGTH_PS, float(run.log.times_ps[-1]))
    timesteps = tuple(run.timestep_fs / k for k in FACTORS)
    found = [_fluctuation(run, source, dt, length) for dt in timesteps]
    if any(x is None for x in found):
        return None
    rms = np.array(found, float)
    design = np.stack([np.array(timesteps) ** 4, np.ones(len(FACTORS))], axis=1)
    weights = 1 / rms**2  # equal relative errors
    (c2, s2), *_ = np.linalg.lstsq(design * weights[:, None], rms**2 * weights, rcond=None)
    c2, s2 = max(float(c2), 0.0), max(float(s2), 0.0)
    good = None
    if s2 < GOOD_meV_PER_ATOM**2 and c2 > 0:
        good = float(((GOOD_meV_PER_ATOM**2 - s2) / c2) ** 0.25)
    of_integrator, of_surface = float(np.sqrt(c2)) * run.timestep_fs**2, float(np.sqrt(s2))
    return Advice(timesteps, tuple(rms.tolist()), of_integrator, of_surface, good)


def _fluctuation(
    run: Series, source: "RunPotential", dt_fs: float, length_ps: float
) -> float | None:
    """Return the fluctuation about a straight line, meV per atom; None if the run fails."""
    from qmd.integrators import Status, Stream, VelocityVerlet, initial_state, kinetic_energy

    steps = round(1000 * length_ps / dt_fs)
    every = max(1, steps // SAMPLES)
    force = source.force
    state = initial_state(force, run.positions[0], run.velocities[0])
    verlet, inverse = VelocityVerlet(dt_fs * units.fs), 1 / run.masses
    energies = [state.energy + kinetic_energy(state.velocities, run.masses)]
    for _ in range(steps // every):
        advanced = verlet.advance(state, force, inverse, Stream(0), source.limits, every)
        if advanced.status != Status.OK:
            return None
        state = advanced.state
        energies.append(state.energy + kinetic_energy(state.velocities, run.masses))
    time = np.arange(len(energies))
    residuals = energies - np.polyval(np.polyfit(time, energies, 1), time)
    return 1000 * float(np.sqrt(np.mean(residuals**2))) / run.n_atoms
