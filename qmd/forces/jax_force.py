"""A JAX potential as the force of a run; the only module of `qmd run` that imports JAX."""

import os
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from qmd.integrators import Force, python_force
from qmd.potentials import Model, ModelPotential, compiled

BatchFunction = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def jax_force(model: Model) -> Force:
    """Wrap the jitted energy and forces of a model; double precision, cached programs."""
    return python_force(jax_function(model))


def jax_function(model: Model) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Jitted energy and forces of a model, from arrays to arrays."""
    _set_up()
    function = compiled(ModelPotential(model))

    def energy_and_forces(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        energy, forces = function(positions)
        return np.asarray(energy), np.asarray(forces)

    return energy_and_forces


def jax_batch_force(model: Model, start: np.ndarray, first: int) -> BatchFunction:
    """Energy and forces of all replicas in one call of the vectorised JAX function.

    The batch has one shape and a place for each replica: one that is no longer asked for stays
    in its place with its last positions. So what remains is computed as before, and compiled once.

    Parameters
    ----------
    model : Model
    start : float64 array, shape (n, n_atoms, 3)
        Positions (angstrom) that fill the places at first.
    first : int
        Index of the replica that has the first place.
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


def use_compilation_cache() -> Path:
    """Let JAX keep compiled programs in a folder that belongs to this user alone.

    The cache is trusted by JAX, so it must not lie where others can write.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "qmd" / f"jax-{jax.__version__}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    return folder
