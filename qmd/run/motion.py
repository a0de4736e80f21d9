"""Motion in a run: fixed atoms, degrees of freedom, and the method that counts them."""

import numpy as np

from qmd.errors import InputError
from qmd.integrators import AbstractIntegrator, Driftless, Stream
from qmd.run.config import RunConfig
from qmd.run.velocities import first_velocities
from qmd.system.cell import is_full
from qmd.system.system import System
from qmd.system.thermometer import Thermometer, thermometer
from qmd.typing import Array


def check_motion(config: RunConfig, system: System, method: AbstractIntegrator) -> None:
    """Refuse fixed atoms that are not there, and what needs a free centre of mass, or a cell.

    Raises
    ------
    InputError
        In one line.
    """
    fixed = config.system.fixed or []
    if fixed and max(fixed) >= system.n_atoms:
        raise InputError(
            f"`system.fixed` names atom {max(fixed)}, but {system.name} has the atoms 0 to "
            f"{system.n_atoms - 1}"
        )
    if len(fixed) == system.n_atoms:
        raise InputError("`system.fixed` names all atoms: nothing is left to move")
    holds = {"system.fixed": bool(fixed), "confinement": config.confinement is not None}
    held = next((key for key, given in holds.items() if given), None)
    if _drift_every(config) and held:
        raise InputError(
            f"`integrator.remove_drift_every` needs atoms that are free, but `{held}` holds them",
            hint=f"remove `integrator.remove_drift_every` or `{held}`",
        )
    if _drift_every(config) and config.noise is not None:
        raise InputError(
            "`noise` needs a bath that acts on all motion, the drift included",
            hint="remove `integrator.remove_drift_every`",
        )
    if method.changes_cell and held:
        raise InputError(
            f"a barostat moves all atoms, but `{held}` holds them",
            hint=f"remove `{held}`, or use an integrator at constant volume",
        )
    if method.changes_cell and not is_full(system.cell):
        raise InputError(
            f"a barostat needs a cell that is periodic in all three directions; {system.name} has "
            + ("one that is not" if system.is_periodic else "no cell"),
            hint="use a structure with a lattice, or an integrator at constant volume",
        )


def thermometer_of(
    config: RunConfig, system: System, method: AbstractIntegrator, stream: Stream
) -> Thermometer:
    """Return the thermometer of a run."""
    return thermometer(
        system,
        first_velocities(system, config.system, stream),
        thermostatted=method.reaches_all_momenta,
        confined=config.confinement is not None,
        fixed=config.system.fixed or (),
        driftless=_drift_every(config) is not None,
    )


def fitted(
    method: AbstractIntegrator, config: RunConfig, thermometer: Thermometer
) -> AbstractIntegrator:
    """Return `method` for the motion of this run.

    Raises
    ------
    InputError
        If nothing moves that it could act on.
    """
    every = _drift_every(config)
    try:
        method = method.of_motion(thermometer.dof, thermometer.about_centre)
    except ValueError as error:
        raise InputError(str(error), hint="use `velocity_verlet` or `langevin_baoab`") from None
    return method if every is None else Driftless(method, every)


def inverse_masses(config: RunConfig, system: System) -> Array:
    """Inverse masses (1/u), shape (n_atoms,); 0 of the atoms that are fixed."""
    inverses = np.asarray(1 / system.masses)
    inverses[config.system.fixed or []] = 0.0
    return inverses


def _drift_every(config: RunConfig) -> int | None:
    every: int | None = getattr(config.integrator, "remove_drift_every", None)
    return every
