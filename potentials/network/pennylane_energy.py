"""PennyLane interpreter of atom-centred networks: one circuit per atom."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..circuit.pennylane_energy import polar, qnode, radial_function
from .network import AtomCentredNetwork


def network_energy_and_forces(
    model: AtomCentredNetwork, positions: np.ndarray, device: Any = None, **options: Any
) -> tuple[float, np.ndarray]:
    """Return energy (eV) and forces (eV/angstrom) of an atom-centred network, atom by atom.

    The energy is not differentiable where an encoding vector is zero or along z (polar angles).
    """
    p, node = model.parameters, qnode(model.circuit, device, interface="jax", **options)

    def of_atom(i: int, x: Any) -> Any:
        kind = model.kinds[i]
        vectors = jnp.zeros((*p.vectors.shape[2:4], 3))
        scalars = jnp.zeros(p.scalars.shape[2:4])
        for j, other in enumerate(model.kinds):
            if j == i:
                continue
            apart = x[j] - x[i]
            r = jnp.linalg.norm(apart)
            to = p.vectors[kind, other], p.scalars[kind, other]
            weights, more = (radial_function(r, model.first, model.cutoff, c) for c in to)
            vectors = vectors + weights[..., None] * apart / r
            scalars = scalars + more
        couplings, weights = jnp.asarray(p.couplings[kind]), jnp.asarray(p.weights[kind])
        if model.has_scalars:
            couplings, weights = couplings + scalars[:-1], weights + scalars[-1]
        values = jnp.stack(node(couplings, polar(vectors)))
        return jnp.dot(weights, values) + p.offsets[kind]

    def energy(x: Any) -> Any:
        return sum(of_atom(i, x) for i in range(model.n_atoms))

    with (
        jax.numpy_dtype_promotion("standard"),  # PennyLane mixes real and complex numbers
        jax.numpy_rank_promotion("allow"),
    ):
        value, gradient = jax.value_and_grad(energy)(jnp.asarray(positions))
    return float(value), -np.asarray(gradient)
