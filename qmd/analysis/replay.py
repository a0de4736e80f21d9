"""Replay of a reference trajectory on another potential: same start, same time step."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from qmd import units
from qmd.analysis.potential_of_run import RunPotential
from qmd.analysis.series import Log, Series
from qmd.errors import InputError, NumericalError
from qmd.integrators import (
    Status,
    Stream,
    VelocityVerlet,
    initial_state,
    kinetic_energy,
    raise_pending,
)

SAME_A = 2e-6
"""Largest difference of positions that are equal in the single precision of a trajectory."""


def same_start(run: Series, reference: Series) -> bool:
    """Return True if both have the same start and times of frames, and `run` constant energy."""
    n = min(len(run.times_ps), len(reference.times_ps))
    return (
        run.conserves_energy
        and run.timestep_fs == reference.timestep_fs
        and len(run.times_ps) >= len(reference.times_ps)
        and np.allclose(run.times_ps[:n], reference.times_ps[:n], rtol=0, atol=1e-6)
        and bool(np.abs(run.positions[0] - reference.positions[0]).max() <= SAME_A)
        and bool(np.abs(run.velocities[0] - reference.velocities[0]).max() <= SAME_A)
    )


def first_frames(run: Series, n: int) -> Series:
    """Return the first `n` frames, and the log up to the last of them."""
    rows = run.log.times_ps <= run.times_ps[n - 1] + 1e-9
    columns = {name: x[rows] for name, x in vars(run.log).items() if isinstance(x, np.ndarray)}
    log = replace(run.log, **columns)
    names = "times_ps", "positions", "velocities", "forces", "potential", "kinetic"
    return replace(run, log=log, **{name: getattr(run, name)[:n] for name in names})


def replay(
    reference: Series,
    source: RunPotential,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> tuple[Series, str | None]:
    """Run `source` from the first frame of `reference`, with frames at its times.

    Returns
    -------
    Series
        Run as long as the reference, or up to where the potential failed.
    str or None
        Description of the failure.

    Raises
    ------
    InputError
        If the frames of the reference are not evenly spaced.
    """
    dt_ps = reference.timestep_fs / 1000
    every = max(1, round(float(np.diff(reference.times_ps)[0]) / dt_ps))
    if not np.allclose(np.diff(reference.times_ps), every * dt_ps, rtol=1e-3):
        raise InputError(f"frames of {reference.folder} are not evenly spaced in time")
    verlet = VelocityVerlet(reference.timestep_fs * units.fs)
    state = initial_state(source.force, reference.positions[0], reference.velocities[0])
    raise_pending(source.force)
    states, failure = [state], None
    n, inverse = len(reference.times_ps), 1 / reference.masses
    for k in range(1, n):
        advanced = verlet.advance(
            states[-1], source.force, inverse, Stream(0), source.limits, every
        )
        raise_pending(source.force)
        if advanced.status != Status.OK:
            status = Status(advanced.status).name.lower().replace("_", " ")
            failure = f"{status} at {k * every * dt_ps:.3f} ps"
            break
        states.append(advanced.state)
        on_progress(k, n)
    if len(states) < 16:
        raise NumericalError(f"{source.name} fails immediately from this start: {failure}")
    potential = np.array([s.energy for s in states])
    kinetic = np.array([kinetic_energy(s.velocities, reference.masses) for s in states])
    velocities = np.array([s.velocities for s in states])
    temperature = reference.thermometer.temperatures(velocities, kinetic)
    times = reference.times_ps[: len(states)]
    replayed = replace(
        reference,
        name=source.name,
        times_ps=times,
        positions=np.array([s.positions for s in states]),
        velocities=velocities,
        forces=np.array([s.forces for s in states]),
        potential=potential,
        kinetic=kinetic,
        log=Log(times, potential - potential[0], kinetic, temperature, float(potential[0])),
    )
    return replayed, failure
