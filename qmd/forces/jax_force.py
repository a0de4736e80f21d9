"""JAX potential as the force of a run; with `jax_cache` all of `qmd run` that imports JAX."""

from collections.abc import Callable

import jax
import numpy as np

from qmd.forces.jax_cache import use_compilation_cache
from qmd.integrators import Force, python_force, python_force_in_cell
from qmd.potentials import (
    Model,
    ModelPotential,
    compiled,
    compiled_in_cell,
    serves_cells_by_jax,
)

BatchFunction = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def jax_force(model: Model) -> Force:
    """Return the jitted energy, forces and virial of a model; double precision, cached."""
    alone = jax_function(model)
    if not serves_cells_by_jax(model):
        return python_force(alone)
    periodic = compiled_in_cell(model)

    def energy_in_cell(
        positions: np.ndarray, cell: np.ndarray, virial: bool
    ) -> tuple[float, np.ndarray, np.ndarray | None]:
        if cell.any():
            return periodic(positions, cell)
        energy, forces = alone(positions)
        return float(energy), forces, None

    return python_force_in_cell(energy_in_cell)


def jax_function(model: Model) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return the jitted energy and forces of a model as a function of NumPy arrays."""
    _set_up()
    function = compiled(ModelPotential(model))

    def energy_and_forces(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        energy, forces = function(positions)
        return np.asarray(energy), np.asarray(forces)

    return energy_and_forces


def jax_batch_force(model: Model, start: np.ndarray, first: int) -> BatchFunction:
    """Return a function that evaluates all replicas in one call of the vectorised JAX function.

    The batch keeps its shape: a replica that has ended stays in its place with its last positions.
    The others are therefore computed as before, and the function is compiled once.

    Parameters
    ----------
    model : Model
    start : float64 array, shape (n, n_atoms, 3)
        Initial positions (angstrom).
    first : int
        Index of the replica in the first place.
    """
    _set_up()
    potential = ModelPotential(model)
    function = jax.jit(jax.vmap(lambda positions: potential.energy_and_forces(positions)))
    places = np.array(start, np.float64)

    def energies_and_forces(
        positions: np.ndarray, replicas: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        chosen = replicas - first
        places[chosen] = positions
        energies, forces = function(places)
        return np.asarray(energies)[chosen], np.asarray(forces)[chosen]

    return energies_and_forces


def _set_up() -> None:
    jax.config.update("jax_enable_x64", True)
    # Each step waits for its forces: handing the call to another thread only costs (measured:
    # 1.5 to 2 times the time of a call). Takes effect if JAX has not computed anything yet.
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    use_compilation_cache()
