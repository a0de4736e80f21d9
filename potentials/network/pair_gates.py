"""Gates and observables of rank two on pairs of qubits, in JAX.

A traceless symmetric matrix Q acts on two qubits by ``K = sum_ab Q_ab sigma_a sigma_b``, which is
0 on the singlet and -2Q on the three Cartesian triplets. The gate is the Cayley form of
``exp(-iK)``, ``(1 - iK/2) / (1 + iK/2)``: 1 on the singlet, ``(1 + iQ) / (1 - iQ)`` on the
triplets. Q is given by its five components xx, yy, xy, xz, yz.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float

Amplitudes = Complex[Array, "sectors dim"]

SINGLET = np.array([0, 1, -1, 0], complex) / np.sqrt(2)
TRIPLETS = np.array([[-1, 0, 0, 1], [-1j, 0, 0, -1j], [0, 1, 1, 0]]) / np.sqrt(2)
"""Rows: amplitudes of 00, 01, 10, 11 -> those of the triplets x, y, z."""


class Symmetric(NamedTuple):
    """Symmetric matrix, real or complex."""

    xx: Array
    yy: Array
    zz: Array
    xy: Array
    xz: Array
    yz: Array


def products(
    directions: Float[Array, "... 3"],
) -> Float[Array, "... 5"]:
    """Return the components of ``r^ r^T - 1/3`` of unit vectors."""
    x, y, z = jnp.moveaxis(directions, -1, 0)
    return jnp.stack([x * x - 1 / 3, y * y - 1 / 3, x * y, x * z, y * z], axis=-1)


def symmetric(components: Float[Array, "... 5"]) -> Symmetric:
    """Return the traceless matrix of its five components."""
    xx, yy, xy, xz, yz = jnp.moveaxis(components, -1, 0)
    return Symmetric(xx, yy, -xx - yy, xy, xz, yz)


def cayley(q: Symmetric) -> Symmetric:
    """Return the unitary ``(1 + iQ) / (1 - iQ) = 2 adj(1 - iQ) / det(1 - iQ) - 1``.

    By the theorem of Cayley and Hamilton, with ``t = tr Q^2 / 2``: the adjugate is
    ``1 + t + iQ - Q^2`` and the determinant ``1 + t + i det Q``, which has no zero.
    """
    square = Symmetric(
        xx=q.xx * q.xx + q.xy * q.xy + q.xz * q.xz,
        yy=q.xy * q.xy + q.yy * q.yy + q.yz * q.yz,
        zz=q.xz * q.xz + q.yz * q.yz + q.zz * q.zz,
        xy=q.xx * q.xy + q.xy * q.yy + q.xz * q.yz,
        xz=q.xx * q.xz + q.xy * q.yz + q.xz * q.zz,
        yz=q.xy * q.xz + q.yy * q.yz + q.yz * q.zz,
    )
    one = 1.0 + (square.xx + square.yy + square.zz) / 2
    minor_x, minor_y = q.yy * q.zz - q.yz * q.yz, q.xy * q.zz - q.yz * q.xz
    determinant = q.xx * minor_x - q.xy * minor_y + q.xz * (q.xy * q.yz - q.yy * q.xz)
    scale = 2 / (one * one + determinant * determinant)
    factor = jax.lax.complex(scale * one, -scale * determinant)
    adjugate = [
        jax.lax.complex(one - s if diagonal else -s, part)
        for diagonal, part, s in zip((True,) * 3 + (False,) * 3, q, square, strict=True)
    ]
    u = Symmetric(*(factor * part for part in adjugate))
    return u._replace(xx=u.xx - 1, yy=u.yy - 1, zz=u.zz - 1)


def matrices(u: Symmetric, couplings: Float[Array, "..."]) -> Complex[Array, "... 4 4"]:
    """Return the gate of two qubits: a Heisenberg gate of J, then `u` on the triplets."""
    one, three = (jax.lax.complex(jnp.cos(t), jnp.sin(t)) for t in (-couplings, 3 * couplings))
    rows = [[u.xx, u.xy, u.xz], [u.xy, u.yy, u.yz], [u.xz, u.yz, u.zz]]
    triplets = jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)
    heisenberg = jnp.einsum("...,ij->...ij", three, np.outer(SINGLET, SINGLET))
    return heisenberg + jnp.einsum(
        "...,im,...mn,nj->...ij", one, TRIPLETS.conj().T, triplets, TRIPLETS
    )


def correlations(pairs: Sequence[tuple[int, int]], psi: Amplitudes) -> Float[Array, "pairs 5"]:
    """Return the derivatives of ``<sigma_p . Q . sigma_q>`` by the components of Q."""
    n = psi.shape[1].bit_length() - 1
    split = psi[:, order_of(pairs, n)].reshape(psi.shape[0], len(pairs), 4, -1)
    t = jnp.einsum("mi,spir->pmsr", TRIPLETS, split)
    found = -2 * jnp.einsum("pmsr,pnsr->pmn", t.conj(), t).real
    xx, yy, zz = found[:, 0, 0], found[:, 1, 1], found[:, 2, 2]
    others = [2 * found[:, m, n] for m, n in ((0, 1), (0, 2), (1, 2))]
    return jnp.stack([xx - zz, yy - zz, *others], axis=-1)


def order_of(pairs: Sequence[tuple[int, int]], n_spins: int) -> np.ndarray:
    """Return the amplitudes in an order with the index of each pair first, (n_pairs, dim)."""
    index = np.arange(1 << n_spins).reshape((2,) * n_spins)
    return np.array([np.moveaxis(index, pair, (0, 1)).ravel() for pair in pairs])


def turn(gates: Complex[Array, "gates 4 4"], order: np.ndarray, psi: Amplitudes) -> Amplitudes:
    """Apply gates on pairs of qubits, one after the other, in the `order` of `order_of`."""
    back = np.argsort(order, axis=1)
    # From the order of each gate directly to that of the next.
    order = np.concatenate([order[:1], np.take_along_axis(back[:-1], order[1:], axis=1)])

    def step(psi: Amplitudes, here: tuple[Array, Array]) -> tuple[Amplitudes, None]:
        gate, places = here
        split = psi[:, places].reshape(psi.shape[0], 4, -1)
        return jnp.einsum("ij,sjr->sir", gate, split).reshape(psi.shape), None

    psi, _ = jax.lax.scan(step, psi, (gates, jnp.asarray(order)))
    return psi[:, back[-1]]
