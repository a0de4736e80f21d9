"""Start velocities of a run, as its input asks for them."""

import numpy as np

from qmd.errors import InputError
from qmd.integrators import VELOCITIES, Stream, gaussian
from qmd.run.config import SystemConfig
from qmd.system.system import System
from qmd.system.velocities import thermal_velocities
from qmd.typing import Array


def first_velocities(system: System, config: SystemConfig, stream: Stream) -> Array:
    """Return the start velocities of the replica whose noise is `stream`.

    Raises
    ------
    InputError
        If the velocities of a file are asked for and it has none.
    """
    normals = np.empty_like(system.positions)
    gaussian(normals, stream, 0, VELOCITIES)
    return start_velocities(system, config, normals)


def start_velocities(system: System, config: SystemConfig, normals: Array) -> Array:
    """Return the velocities that a run starts with, as `config` asks.

    Parameters
    ----------
    system : System
    config : SystemConfig
    normals : array, shape (n_atoms, 3)
        Unit normal deviates, used for ``velocities: thermal`` only.

    Returns
    -------
    array, shape (n_atoms, 3)
        Internal units. Those of a file are kept as they are, with any overall motion, but for
        fixed atoms, which are at rest.

    Raises
    ------
    InputError
        If the velocities of a file are asked for and it has none.
    """
    if config.velocities == "zero":
        return np.zeros((system.n_atoms, 3))
    fixed = config.fixed or []
    if config.velocities == "file":
        if system.velocities is None:
            raise InputError(
                f"{system.name} has no velocities",
                hint="use `velocities: thermal`, or an extxyz file with a momenta column",
            )
        velocities = system.velocities.copy()
        velocities[fixed] = 0.0
        return velocities
    assert config.temperature_K is not None  # the schema asks for it
    return thermal_velocities(
        system,
        config.temperature_K,
        normals,
        exact=config.exact_temperature,
        remove_rotation=config.remove_rotation,
        fixed=fixed,
    )
