"""PennyLane interpreter of Allegro with circuits."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..qdi.circuit import QDI
from ..qdi.pennylane_form import qnode
from . import jax_energy
from .allegro import AllegroQdi


def energy_and_forces(model: AllegroQdi, positions: np.ndarray) -> tuple[float, np.ndarray]:
    """Return energy (eV) and forces (eV/angstrom), the circuits of all pairs by PennyLane."""
    node = qnode(model.circuit, interface="jax")

    def circuit(_: QDI, angles: Any, features: Any) -> Any:
        return jnp.stack(node(jnp.asarray(angles), features.T), axis=-1)

    def energy(x: Any) -> Any:
        return jax_energy.energy(model, x, circuit)

    with (
        jax.numpy_dtype_promotion("standard"),  # PennyLane mixes real and complex numbers
        jax.numpy_rank_promotion("allow"),
    ):
        value, gradient = jax.jit(jax.value_and_grad(energy))(jnp.asarray(positions))
    return float(value), -np.asarray(gradient)
