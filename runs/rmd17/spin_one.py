"""Circuits of four registers of spin one in JAX, for beyond.py: 81 amplitudes.

In the Cartesian basis the spin operators are ``(S_a)_bc = -i eps_abc``: an encoding is the rotation
by its vector, a matrix Q acts on one register by the Cayley form ``(1 + iQ) / (1 - iQ)``, and the
coupling of two registers, ``exp(-iJ S.S')``, by the eigenvalues -2, -1 and 1 of ``S.S'`` for total
spins of 0, 1 and 2. The registers begin as two singlets. Vectors change their sign in the second
sector; both sectors together are even under inversion.
"""

from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np

from qmd.potentials.network import pair_gates

REGISTERS = 4
PAIRS = list(combinations(range(REGISTERS), 2))
SWAP = np.einsum("il,jk->ijkl", np.eye(3), np.eye(3)).reshape(9, 9)
SINGLET = np.einsum("ij,kl->ijkl", np.eye(3), np.eye(3)).reshape(9, 9) / 3
PROJECTORS = np.stack([SINGLET, (np.eye(9) - SWAP) / 2, (np.eye(9) + SWAP) / 2 - SINGLET])
"""On total spins of 0, 1 and 2."""
PRODUCT = np.array([-2.0, -1.0, 1.0])
"""``S.S'`` of them."""
START = np.einsum("ij,kl->ijkl", np.eye(3), np.eye(3)).reshape(-1) / 3


def centre(couplings, weights, vectors, tensors):
    """Return the energy of one centre without its offset.

    Parameters
    ----------
    couplings : (layers, pairs)
        Couplings of all pairs of registers.
    weights : (pairs,)
        Weights of ``S.S'``, eV.
    vectors : (layers + 1, registers, 3)
    tensors : (layers + 1, registers, 5)
        Matrices of the gates and, last, of the observables (eV).
    """
    u = pair_gates.cayley(pair_gates.symmetric(tensors[:-1]))
    matrices = dense(u)
    phases = jnp.exp(-1j * couplings[..., None] * PRODUCT)
    gates = jnp.einsum("dpj,jxy->dpxy", phases, PROJECTORS)
    q = dense(pair_gates.symmetric(tensors[-1]))
    return jnp.mean(jnp.stack([
        _sector(sign * vectors, matrices, gates, weights, q) for sign in (1.0, -1.0)
    ]))  # fmt: skip


def _sector(vectors, matrices, gates, weights, q):
    turns = jax.vmap(jax.vmap(rotation))(vectors)
    psi = on_each(turns[0], jnp.asarray(START, complex))

    def layer(psi, here):
        turn, matrix, gate = here
        psi = on_each(matrix, psi)
        for k, pair in enumerate(PAIRS):
            psi = on_pair(gate[k], pair, psi)
        return on_each(turn, psi), None

    psi, _ = jax.lax.scan(layer, psi, (turns[1:], matrices, gates))
    energy = jnp.zeros(())
    for weight, pair in zip(weights, PAIRS, strict=True):
        product = np.einsum("j,jxy->xy", PRODUCT, PROJECTORS)
        energy += weight * jnp.vdot(psi, on_pair(product, pair, psi)).real
    for k in range(REGISTERS):
        energy += jnp.vdot(psi, on_one(q[k], k, psi)).real
    return energy


def rotation(v):
    """Return the rotation by the angle |v| about v (Rodrigues), smooth at 0."""
    square = jnp.sum(v * v)
    small = square < 1e-6
    angle = jnp.sqrt(jnp.where(small, 1.0, square))
    sinc = jnp.where(small, 1 - square / 6, jnp.sin(angle) / angle)
    half = jnp.where(small, 0.5 - square / 24, (1 - jnp.cos(angle)) / angle**2)
    cross = jnp.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    return np.eye(3) + sinc * cross + half * (cross @ cross)


def dense(q):
    """Return the matrices (..., 3, 3) of their components."""
    rows = (q.xx, q.xy, q.xz), (q.xy, q.yy, q.yz), (q.xz, q.yz, q.zz)
    return jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)


def on_each(matrices, psi):
    """Apply a matrix to each register."""
    for k in range(REGISTERS):
        psi = on_one(matrices[k], k, psi)
    return psi


def on_one(matrix, k, psi):
    split = psi.reshape(3**k, 3, -1)
    return jnp.einsum("ij,ajb->aib", matrix, split).reshape(-1)


def on_pair(matrix, pair, psi):
    split = jnp.moveaxis(psi.reshape((3,) * REGISTERS), pair, (0, 1))
    turned = (matrix @ split.reshape(9, -1)).reshape((3,) * REGISTERS)
    return jnp.moveaxis(turned, (0, 1), pair).reshape(-1)
