"""First states of a run: velocities, energy and forces, checks before the first step."""

import numpy as np

from qmd.errors import InputError, MismatchError, NumericalError
from qmd.forces.runnable import in_cell
from qmd.forces.virial_check import check_virial
from qmd.integrators import Batch, State, Stream, has_virial, initial_state, stray
from qmd.potentials import BEYOND_A
from qmd.run.setup import RunSetup
from qmd.run.velocities import first_velocities


def start_state(setup: RunSetup) -> State:
    """State at step 0, checked.

    Raises
    ------
    MismatchError
        If the start lies outside the stop level of the trained domain.
    NumericalError
        If energy or forces are not finite, too large, or not each other's derivative.
    InputError
        If the forces have more noise than the bath can make up for, or there is no virial for a
        barostat.
    """
    _check_domain(setup)
    state = _exact_start(setup)
    largest = float(np.linalg.norm(state.forces, axis=1).max())
    if not (np.isfinite(state.energy) and largest <= setup.limits.max_force):
        _check_inside_sphere(setup)
        raise NumericalError(
            f"At the start the energy is {state.energy:.6g} eV and the largest force "
            f"{largest:.6g} eV/angstrom (limit {setup.limits.max_force:g})",
            hint="relax the structure, or raise `guards.max_force_eV_per_A`",
        )
    _check_slope(setup, state)
    if setup.integrator.changes_cell:
        at = setup.force, setup.system.positions, setup.system.cell
        if not has_virial(*at):
            raise InputError(
                f"a barostat needs a virial, and {setup.potential.name} has none",
                hint="use an integrator at constant volume, or a potential with a virial",
            )
        function = in_cell(setup.force, setup.potential.name)
        check_virial(function, setup.system.positions, setup.system.cell, setup.potential.name)
    if setup.config.noise is not None:
        from qmd.run.shot_noise import check_share

        check_share(setup.integrator, setup.config.noise, state.positions, setup.system.masses)
    return _begun(setup, state, setup.stream)


def _begun(setup: RunSetup, state: State, stream: Stream) -> State:
    """First state of the method, on exact forces; InputError if it cannot begin there."""
    try:
        return setup.integrator.start(state, stream, setup.force)
    except ValueError as error:
        raise InputError(f"{setup.system.name} on {setup.potential.name}: {error}") from None


def _check_inside_sphere(setup: RunSetup) -> None:
    """Raise InputError if atoms start beyond the sphere of `confinement`, which explains forces."""
    sphere = setup.config.confinement
    if sphere is None:
        return
    distances = np.linalg.norm(setup.system.positions, axis=1)
    outside = np.flatnonzero(distances > sphere.radius_A)
    if len(outside):
        atom = int(distances.argmax())
        raise InputError(
            f"{len(outside)} of {len(distances)} atoms start outside the sphere of `confinement`, "
            f"whose centre is the origin: atom {atom + 1} is {distances[atom]:.3f} angstrom away; "
            f"expected at most radius_A = {sphere.radius_A:g}",
            hint="move the molecule to the origin, or use a larger `confinement.radius_A`",
        )


def unchecked_start(setup: RunSetup) -> State:
    """State at step 0: a function of the input alone."""
    return _begun(setup, _exact_start(setup), setup.stream)


def _exact_start(setup: RunSetup) -> State:
    velocities = first_velocities(setup.system, setup.config.system, setup.stream)
    return initial_state(setup.force, setup.system.positions, velocities, setup.system.cell)


def start_batch(setup: RunSetup) -> Batch:
    """States of all replicas at step 0: that of each is what `unchecked_start` gives it alone."""
    first, exact = setup.stream.replica, _exact_start(setup)
    replicas = range(first, first + setup.config.replicas)
    streams = [setup.stream._replace(replica=replica) for replica in replicas]
    velocities = (first_velocities(setup.system, setup.config.system, each) for each in streams)
    states = [exact._replace(velocities=each) for each in velocities]
    starts = [_begun(setup, *both) for both in zip(states, streams, strict=True)]
    return Batch.of(starts, replicas)


def _check_domain(setup: RunSetup) -> None:
    if found := stray(setup.limits, setup.system.positions, setup.system.cell):
        trained = f"{found.low:.2f} to {found.high:.2f}"
        if found.high >= BEYOND_A:
            trained = f"{found.low:.2f} and more"
        raise MismatchError(
            f"{setup.system.name}: atoms {found.i + 1} and {found.j + 1} are "
            f"{found.distance:.3f} angstrom apart, but {setup.potential.name} is trained for "
            f"{trained}",
            hint="start from another structure, or use a potential trained for it",
        )


def _check_slope(setup: RunSetup, state: State, h: float = 1e-4) -> None:
    """One force component against a central difference: finds a model wired wrongly."""
    atom, axis = np.unravel_index(np.argmax(np.abs(state.forces)), state.forces.shape)
    energies = []
    for sign in (1, -1):
        moved = state.positions.copy()
        moved[atom, axis] += sign * h
        energies.append(initial_state(setup.force, moved, moved, setup.system.cell).energy)
    slope = (energies[0] - energies[1]) / (2 * h)
    # Error of the difference: h^2/6 times a third derivative of at most 1e3 eV/angstrom^3.
    if not abs(slope + state.forces[atom, axis]) <= setup.potential.slope_error:
        raise NumericalError(
            f"The force on atom {atom + 1} is {state.forces[atom, axis]:.8f} eV/angstrom, but the "
            f"energy gives {-slope:.8f}",
            hint="the potential's forces are not its gradient; check it before running",
        )
