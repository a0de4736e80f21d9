"""Products of many vectors with the matrix of their centre, as JAX primitives of their own.

For x (atoms, slots, n, T), matrices (atoms, n, m, T) and y (atoms, slots, m, T), each channel T for
itself, there are three products, each of which is linear in both of its factors::

    forward   y_skt = sum_i x_sit M_ikt
    backward  x_sit = sum_k y_skt M_ikt
    outer     M_ikt = sum_s x_sit y_skt

The derivatives of each are the two others, so that each is computed in one pass over its arrays
whatever is differentiated. Left to itself, JAX would turn the derivatives into products of small
matrices between copies, or into sums along the slow direction, which take several times as long.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, Float

MAX_UNROLLED = 64
"""Vectors of a centre up to which their outer products are added up in one pass."""


def forward(
    x: Float[Array, "atoms slots n T"], matrices: Float[Array, "atoms n m T"]
) -> Float[Array, "atoms slots m T"]:
    """Return the vectors times the matrices of their centres."""
    out: Array = _forward.bind(x, matrices)
    return out


def _plain_forward(x: Any, matrices: Any) -> Any:
    return jnp.sum(x[:, :, :, None] * matrices[:, None], axis=2)


def _plain_backward(y: Any, matrices: Any) -> Any:
    return jnp.sum(y[:, :, None] * matrices[:, None], axis=3)


def _plain_outer(x: Any, y: Any) -> Any:
    return jnp.einsum("asit,askt->aikt", x, y)


def _outer_on_cpu(x: Any, y: Any) -> Any:
    """Take one atom after the other: XLA fuses no loop with copies of what it makes."""
    if x.shape[1] > MAX_UNROLLED:
        return _plain_outer(x, y)

    def of_atom(factors: Any) -> Any:
        own, other = factors
        total = own[0, :, None] * other[0, None]
        for slot in range(1, len(own)):
            total = total + own[slot, :, None] * other[slot, None]
        return total

    return jax.lax.map(of_atom, (x, y))


def _primitive(name: str, plain: Any, places: str) -> Primitive:
    """Make a primitive of two factors, as `places` has it for einsum, of the function `plain`."""
    made = Primitive(name)
    inputs, output = places.split("->")
    letters = inputs.split(",")

    def shape(*factors: Any) -> Any:
        sizes = {
            letter: size
            for names, factor in zip(letters, factors, strict=True)
            for letter, size in zip(names, factor.shape, strict=True)
        }
        return factors[0].update(shape=tuple(sizes[letter] for letter in output))

    def batched(factors: Any, axes: Any) -> Any:
        """Take the copies of a batch for further atoms."""
        (size,) = {f.shape[a] for f, a in zip(factors, axes, strict=True) if a is not None}
        moved = [
            jnp.broadcast_to(f, (size, *f.shape)) if a is None else jnp.moveaxis(f, a, 0)
            for f, a in zip(factors, axes, strict=True)
        ]
        out = made.bind(*(f.reshape(-1, *f.shape[2:]) for f in moved))
        return out.reshape(size, -1, *out.shape[1:]), 0

    made.def_impl(plain)
    made.def_abstract_eval(shape)
    batching.primitive_batchers[made] = batched
    mlir.register_lowering(made, mlir.lower_fun(plain, multiple_results=False))
    return made


_forward = _primitive("allegro_forward", _plain_forward, "asit,aikt->askt")
_backward = _primitive("allegro_backward", _plain_backward, "askt,aikt->asit")
_outer = _primitive("allegro_outer", _plain_outer, "asit,askt->aikt")
mlir.register_lowering(
    _outer, mlir.lower_fun(_outer_on_cpu, multiple_results=False), platform="cpu"
)
# To the derivative by one factor, from what comes back to the product and the other factor.
ad.defbilinear(
    _forward,
    lambda back, _, matrices: _backward.bind(back, matrices),
    lambda back, x, _: _outer.bind(x, back),
)
ad.defbilinear(
    _backward,
    lambda back, _, matrices: _forward.bind(back, matrices),
    lambda back, y, _: _outer.bind(back, y),
)
ad.defbilinear(
    _outer,
    lambda back, _, y: _backward.bind(y, back),
    lambda back, x, _: _forward.bind(x, back),
)
