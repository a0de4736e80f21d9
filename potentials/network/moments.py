"""Moments of surroundings on four lanes, and sums that turn them into channels and back.

Channels are linear in the radial functions, and these in the Gaussians: it is enough to sum
``G_g(r_ij) Y_m(r^_ij)`` over the neighbours of each element, with Y_m the components 1, x, y, z,
and for rank two those of ``r^ r^T - 1/3``, xx, yy, xy, xz, yz. What depends on the trained
coefficients is then done once for a centre and an element, not for each neighbour.
"""
# mypy: allow-untyped-defs, allow-untyped-calls
# Numba and LLVM carry the types here.

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..simd.vectors import block_of
from .lanes import FOUR, Arithmetic, nothing

OF_RANK = 0, 4, 9
"""Number of components up to a rank."""


def _components(builder, x, y, z):
    """The nine components of a unit vector; those that are not used are left out by LLVM."""
    third = ir.Constant(x.type, -1 / 3)
    one, fadd, fmul = ir.Constant(x.type, 1.0), builder.fadd, builder.fmul
    return (
        one, x, y, z,
        fadd(fmul(x, x), third), fadd(fmul(y, y), third), fmul(x, y), fmul(x, z), fmul(y, z),
    )  # fmt: skip


def _adding(count):
    """Make ``add(w, m, n, k, at, x, y, z)`` for `count` components."""

    @intrinsic
    def add(typingctx, w, m, n, k, at, x, y, z):
        """w[m + c n + g] += Y_c k[at + g], g below n, a multiple of four."""

        def codegen(context, builder, signature, args):
            gates = Arithmetic(block_of(context, builder, signature, args[0]))
            kept = block_of(context, builder, signature, args[3])
            m, n, _, at, *unit = args[1:]
            factors = [gates.block.spread(y) for y in _components(builder, *unit)[:count]]
            with gates.block.loop_to(n, FOUR) as g:
                value, place = kept.load(builder.add(at, g)), builder.add(m, g)
                for factor in factors:
                    old = gates.block.load(place)
                    gates.block.store(gates.block.multiply_add(factor, value, old), place)
                    place = builder.add(place, n)
            return context.get_dummy_value()

        intp, real = types.intp, types.float64
        return nothing(w, intp, intp, w, intp, real, real, real), codegen

    return add


add_vectors, add_tensors = (_adding(OF_RANK[rank]) for rank in (1, 2))
"""Add a neighbour to the moments of a centre, up to rank one and up to rank two."""


def _pulling(count):
    """Make ``pull(w, s, n, k, at, x, y, z)`` for `count` components."""

    @intrinsic
    def pull(typingctx, w, s, n, k, at, x, y, z):
        """Sums over the Gaussians of a neighbour: along r^ by their slopes, and across it.

        Returns ``sum_cg s[c n + g] Y_c k[at + n + g]``, and the three components of
        ``sum_cg s[c n + g] dY_c/dr^ k[at + g]``, r^ taken as a free vector.
        """

        def codegen(context, builder, signature, args):
            gates = Arithmetic(block_of(context, builder, signature, args[0]))
            kept = block_of(context, builder, signature, args[3])
            s, n, _, at, *unit = args[1:]
            block, fma = gates.block, gates.block.multiply_add
            spread = [gates.block.spread(y) for y in _components(builder, *unit)[:count]]
            x, y, z = spread[1:4]
            totals = gates.sums(4)
            with block.loop_to(n, FOUR) as g:
                place, rows = builder.add(s, g), []
                for _ in range(count):
                    rows.append(block.load(place))
                    place = builder.add(place, n)
                slope = rows[0]
                for factor, row in zip(spread[1:], rows[1:], strict=True):
                    slope = fma(factor, row, slope)
                across = rows[1:4]
                if count > 4:
                    xx, yy, xy, xz, yz = rows[4:]
                    across = [
                        fma(x, builder.fadd(xx, xx), fma(y, xy, fma(z, xz, across[0]))),
                        fma(y, builder.fadd(yy, yy), fma(x, xy, fma(z, yz, across[1]))),
                        fma(x, xz, fma(y, yz, across[2])),
                    ]
                here = builder.add(at, g)
                gaussians, slopes = kept.load(here), kept.load(builder.add(here, n))
                block.accumulate(totals[0], slope, slopes)
                for total, value in zip(totals[1:], across, strict=True):
                    block.accumulate(total, value, gaussians)
            found = [block.sum_of_lanes(builder.load(total)) for total in totals]
            return context.make_tuple(builder, signature.return_type, found)

        intp, real = types.intp, types.float64
        found = types.UniTuple(real, 4)
        return found(w, intp, intp, w, intp, real, real, real), codegen

    return pull


pull_of_vectors, pull_of_tensors = (_pulling(OF_RANK[rank]) for rank in (1, 2))
"""Derivatives of the energy by the place of a neighbour, through the moments."""


def _combining(count):
    """Make ``combine(w, y, y_step, m, m_step, c, row, rows, n)`` for `count` components."""

    @intrinsic
    def combine(typingctx, w, y, y_step, m, m_step, c, row, rows, n):
        """w[y + a y_step + i] += sum_g w[m + a m_step + g] w[c + g row + i].

        a below the number of components, g below `rows`, i below n, a multiple of four.
        """

        def codegen(context, builder, signature, args):
            gates = Arithmetic(block_of(context, builder, signature, args[0]))
            y, y_step, m, m_step, c, row, rows, n = args[1:]
            block = gates.block
            with block.loop_to(n, FOUR) as i:
                totals = [block.accumulator() for _ in range(count)]
                to = builder.add(y, i)
                for total in totals:
                    builder.store(block.load(to), total)
                    to = builder.add(to, y_step)
                with cgutils.for_range(builder, rows) as loop:
                    at = builder.add(builder.add(c, i), builder.mul(loop.index, row))
                    value, place = block.load(at), builder.add(m, loop.index)
                    for total in totals:
                        block.accumulate(total, block.broadcast(place), value)
                        place = builder.add(place, m_step)
                to = builder.add(y, i)
                for total in totals:
                    block.store(builder.load(total), to)
                    to = builder.add(to, y_step)
            return context.get_dummy_value()

        return nothing(w, *[types.intp] * 8), codegen

    return combine


combine_one, combine_three, combine_five = map(_combining, (1, 3, 5))
"""From moments to channels, and from derivatives by channels to those by moments."""
