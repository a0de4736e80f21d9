"""Circuits on lanes: the gates of several centres at a time, as LLVM vectors.

A state is an array of amplitudes, each with the real parts of `LANES` centres, then their imaginary
parts. Centres differ in their angles, not in their gates, so that every operation
is the same on all lanes; the index of an amplitude has a bit for each qubit. Like those of `simd`,
the functions work on one array `w`, without bounds checks.
"""
# mypy: allow-untyped-defs, allow-untyped-calls
# Numba and LLVM carry the types here.

from contextlib import contextmanager

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from qmd.integrators import VECTOR_WIDTH

from ..simd.trigonometry import of_half_angle, sine_and_cosine
from ..simd.vectors import block_of

LANES = VECTOR_WIDTH
"""Centres at a time. What is computed of a centre does not depend on it, to the last bit."""
FOUR = 4
"""Centres whose energies, and whose virials, are summed first, whatever `LANES` is; a vector along
the channels or the radial functions of one centre has this width, too."""
AMPLITUDE = 2 * LANES
"""Numbers of one amplitude."""


class Arithmetic:
    """Complex arithmetic on pairs of vectors."""

    def __init__(self, block):
        self.block, self.builder = block, block.builder

    def load(self, x, amplitude):
        at = self._at(x, amplitude)
        return self.block.load(at), self.block.load(at, LANES)

    def store(self, value, x, amplitude):
        at = self._at(x, amplitude)
        self.block.store(value[0], at)
        self.block.store(value[1], at, LANES)

    def _at(self, x, amplitude):
        size = ir.Constant(amplitude.type, AMPLITUDE)
        return self.builder.add(x, self.builder.mul(amplitude, size))

    def add(self, a, b):
        return tuple(self.builder.fadd(p, q) for p, q in zip(a, b, strict=True))

    def subtract(self, a, b):
        return tuple(self.builder.fsub(p, q) for p, q in zip(a, b, strict=True))

    def scale(self, factor, a):
        return tuple(self.builder.fmul(factor, p) for p in a)

    def times(self, a, b):
        """The product of two complex numbers."""
        fma, negative = self.block.multiply_add, self.block.negative
        real = fma(negative(a[1]), b[1], self.builder.fmul(a[0], b[0]))
        return real, fma(a[1], b[0], self.builder.fmul(a[0], b[1]))

    def turn(self, spin, pair):
        """``cos - i n.sigma`` on two amplitudes; `spin` is (cos, x, y, z)."""
        fma, negative, fmul = self.block.multiply_add, self.block.negative, self.builder.fmul
        c, x, y, z = spin
        minus_y, minus_z, minus_x = negative(y), negative(z), negative(x)
        (a, b), (p, q) = pair  # a + ib is up, p + iq is down
        up_re = fma(x, q, fma(minus_y, p, fma(z, b, fmul(c, a))))
        up_im = fma(minus_x, p, fma(minus_y, q, fma(minus_z, a, fmul(c, b))))
        down_re = fma(x, b, fma(y, a, fma(minus_z, q, fmul(c, p))))
        down_im = fma(minus_x, a, fma(y, b, fma(z, p, fmul(c, q))))
        return (up_re, up_im), (down_re, down_im)

    def spin_at(self, turn, sign):
        """(cos, x, y, z) at `turn`, its vector times `sign`."""
        c = self.block.load(turn)
        sign = self.block.spread(sign)
        return c, *(self.builder.fmul(sign, self.block.load(turn, LANES * i)) for i in (1, 2, 3))

    @contextmanager
    def pairs(self, size, stride):
        """Amplitudes (0, 1) of the qubit of `stride`."""
        two = ir.Constant(size.type, 2)
        with (
            self.block.loop_to(size, self.builder.mul(stride, two)) as start,
            self.block.loop_to(stride, 1) as inner,
        ):
            low = self.builder.add(start, inner)
            yield low, self.builder.add(low, stride)

    @contextmanager
    def exchanged(self, size, high, low):
        """Amplitudes (01, 10) of two qubits, of the larger stride and the smaller."""
        two = ir.Constant(size.type, 2)
        with (
            self.block.loop_to(size, self.builder.mul(high, two)) as outer,
            self.block.loop_to(high, self.builder.mul(low, two)) as middle,
            self.block.loop_to(low, 1) as inner,
        ):
            start = self.builder.add(self.builder.add(outer, middle), inner)
            yield self.builder.add(start, low), self.builder.add(start, high)

    @contextmanager
    def quadruples(self, size, high, low):
        """Amplitudes (00, 01, 10, 11) of two qubits, of the larger stride and the smaller."""
        with self.exchanged(size, high, low) as (first, second):
            yield self.builder.sub(first, low), first, second, self.builder.add(second, low)

    def sums(self, n):
        """`n` vectors that start as 0 each time."""
        totals = [self.block.accumulator() for _ in range(n)]
        for total in totals:
            self.builder.store(self.block.zero, total)
        return totals

    def add_at(self, value, index, offset=0):
        self.block.store(self.builder.fadd(self.block.load(index, offset), value), index, offset)


@intrinsic
def rotate(typingctx, w, x, turn, sign, stride, size):
    """``exp(-i sign v.sigma)`` of the qubit of `stride`; (cos r, v sin r / r) lies at `turn`."""

    def codegen(context, builder, signature, args):
        gates = Arithmetic(block_of(context, builder, signature, args[0], LANES))
        x, turn, sign, stride, size = args[1:]
        spin = gates.spin_at(turn, sign)
        with gates.pairs(size, stride) as (up, down):
            turned = gates.turn(spin, (gates.load(x, up), gates.load(x, down)))
            gates.store(turned[0], x, up)
            gates.store(turned[1], x, down)
        return context.get_dummy_value()

    return nothing(w, types.intp, types.intp, types.float64, types.intp, types.intp), codegen


@intrinsic
def rotate_back(typingctx, w, psi, after, turn, sign, stride, size, out):
    """Undo `rotate` on psi and `after`; adds ``2 Im <after|sigma|psi>`` (x, y, z) at `out`."""

    def codegen(context, builder, signature, args):
        gates = Arithmetic(block_of(context, builder, signature, args[0], LANES))
        psi, after, turn, sign, stride, size, out = args[1:]
        fma, negative = gates.block.multiply_add, gates.block.negative
        spin = gates.spin_at(turn, builder.fneg(sign))
        totals = gates.sums(3)
        with gates.pairs(size, stride) as places:
            states = [tuple(gates.load(x, at) for at in places) for x in (psi, after)]
            ((a, b), (p, q)), ((k, n), (s, t)) = states
            # Im of <after| sigma |psi>, with up = a + ib, down = p + iq; after: k + in, s + it.
            products = (
                ((k, q), (negative(n), p), (s, b), (negative(t), a)),
                ((s, a), (t, b), (negative(k), p), (negative(n), q)),
                ((k, b), (negative(n), a), (negative(s), q), (t, p)),
            )
            for total, terms in zip(totals, products, strict=True):
                value = builder.load(total)
                for left, right in terms:
                    value = fma(left, right, value)
                builder.store(value, total)
            for x, pair in zip((psi, after), states, strict=True):
                for amplitude, at in zip(gates.turn(spin, pair), places, strict=True):
                    gates.store(amplitude, x, at)
        for i, total in enumerate(totals):
            value = builder.load(total)
            gates.add_at(builder.fadd(value, value), out, LANES * i)
        return context.get_dummy_value()

    intp = types.intp
    return nothing(w, intp, intp, intp, types.float64, intp, intp, intp), codegen


@intrinsic
def exchange(typingctx, w, x, phase, high, low, size):
    """``exp(-i J sigma.sigma)`` of two qubits up to a phase; ``(exp(4iJ) - 1) / 2`` at `phase`."""

    def codegen(context, builder, signature, args):
        gates = Arithmetic(block_of(context, builder, signature, args[0], LANES))
        x, phase, high, low, size = args[1:]
        factor = gates.block.load(phase), gates.block.load(phase, LANES)
        with gates.exchanged(size, high, low) as (first, second):
            a, b = gates.load(x, first), gates.load(x, second)
            change = gates.times(factor, gates.subtract(a, b))
            gates.store(gates.add(a, change), x, first)
            gates.store(gates.subtract(b, change), x, second)
        return context.get_dummy_value()

    return nothing(w, *[types.intp] * 5), codegen


@intrinsic
def exchange_back(typingctx, w, psi, after, phase, high, low, size, out):
    """Undo `exchange` on psi and `after`; adds ``-8 Im <after|P|psi>`` at `out`.

    P projects on the singlet: that is the derivative by J.
    """

    def codegen(context, builder, signature, args):
        gates = Arithmetic(block_of(context, builder, signature, args[0], LANES))
        psi, after, phase, high, low, size, out = args[1:]
        fma, negative = gates.block.multiply_add, gates.block.negative
        factor = gates.block.load(phase), negative(gates.block.load(phase, LANES))
        (total,) = gates.sums(1)
        with gates.exchanged(size, high, low) as places:
            odd = []
            for x in (psi, after):
                a, b = (gates.load(x, at) for at in places)
                odd.append(gates.subtract(a, b))
                change = gates.times(factor, odd[-1])
                gates.store(gates.add(a, change), x, places[0])
                gates.store(gates.subtract(b, change), x, places[1])
            (re, im), (left_re, left_im) = odd
            value = fma(left_re, im, builder.load(total))
            builder.store(fma(negative(left_im), re, value), total)
        four = gates.block.constant(-4.0)
        gates.add_at(builder.fmul(four, builder.load(total)), out)
        return context.get_dummy_value()

    return nothing(w, *[types.intp] * 7), codegen


@intrinsic
def observe(typingctx, w, psi, after, weight, high, low, size, out):
    """Adds ``<psi|sigma.sigma|psi> - 1`` at `out`, ``weight (sigma.sigma - 1) psi`` to `after`."""

    def codegen(context, builder, signature, args):
        gates = Arithmetic(block_of(context, builder, signature, args[0], LANES))
        psi, after, weight, high, low, size, out = args[1:]
        fma, two = gates.block.multiply_add, gates.block.constant(-2.0)
        factor = builder.fmul(two, gates.block.load(weight))
        (total,) = gates.sums(1)
        with gates.exchanged(size, high, low) as (first, second):
            odd = gates.subtract(gates.load(psi, first), gates.load(psi, second))
            value = fma(odd[0], odd[0], builder.load(total))
            builder.store(fma(odd[1], odd[1], value), total)
            change = gates.scale(factor, odd)
            gates.store(gates.add(gates.load(after, first), change), after, first)
            gates.store(gates.subtract(gates.load(after, second), change), after, second)
        gates.add_at(builder.fmul(two, builder.load(total)), out)
        return context.get_dummy_value()

    return nothing(w, *[types.intp] * 7), codegen


@intrinsic
def prepare_turn(typingctx, w, turn):
    """From (x, y, z) behind `turn`: cos r there, v sin r / r behind it, and then sin r / r."""

    def codegen(context, builder, signature, args):
        block = block_of(context, builder, signature, args[0], LANES)
        turn = args[1]
        v = [block.load(turn, LANES * i) for i in (1, 2, 3)]
        square = builder.fmul(v[0], v[0])
        for x in v[1:]:
            square = block.multiply_add(x, x, square)
        cosine, sinc = of_half_angle(builder, square)
        block.store(cosine, turn)
        for i, x in enumerate(v):
            block.store(builder.fmul(sinc, x), turn, LANES * (1 + i))
        block.store(sinc, turn, 4 * LANES)
        return context.get_dummy_value()

    return nothing(w, types.intp), codegen


@intrinsic
def prepare_phase(typingctx, w, phase):
    """From J at `phase`: ``(exp(4iJ) - 1) / 2``."""

    def codegen(context, builder, signature, args):
        block = block_of(context, builder, signature, args[0], LANES)
        phase = args[1]
        angle = builder.fmul(block.constant(4.0), block.load(phase))
        sine, cosine = sine_and_cosine(builder, angle)
        half = block.constant(0.5)
        real = builder.fsub(cosine, block.constant(1.0))
        block.store(builder.fmul(half, real), phase)
        block.store(builder.fmul(half, sine), phase, LANES)
        return context.get_dummy_value()

    return nothing(w, types.intp), codegen


@intrinsic
def add_scaled(typingctx, w, y, factor, x, n):
    """w[y : y + n] += factor w[x : x + n], n a multiple of four."""

    def codegen(context, builder, signature, args):
        gates = Arithmetic(block_of(context, builder, signature, args[0]))
        y, factor, x, n = args[1:]
        factor = gates.block.spread(factor)
        with gates.block.loop_to(n, FOUR) as i:
            at = builder.add(y, i)
            value = gates.block.load(builder.add(x, i))
            gates.block.store(gates.block.multiply_add(factor, value, gates.block.load(at)), at)
        return context.get_dummy_value()

    return nothing(w, types.intp, types.float64, types.intp, types.intp), codegen


@intrinsic
def add_outer(typingctx, w, y, values, count, x, n):
    """w[y + g n + i] += w[values + 2 g] w[x + i], g below `count`, i below n."""

    def codegen(context, builder, signature, args):
        gates = Arithmetic(block_of(context, builder, signature, args[0]))
        y, values, count, x, n = args[1:]
        two = ir.Constant(count.type, 2)
        with cgutils.for_range(builder, count) as loop:
            at = builder.add(values, builder.mul(loop.index, two))
            factor, row = gates.block.broadcast(at), builder.add(y, builder.mul(loop.index, n))
            with gates.block.loop_to(n, FOUR) as i:
                place = builder.add(row, i)
                value = gates.block.load(builder.add(x, i))
                gates.block.store(
                    gates.block.multiply_add(factor, value, gates.block.load(place)), place
                )
        return context.get_dummy_value()

    return nothing(w, *[types.intp] * 5), codegen


@intrinsic
def dot(typingctx, w, x, y, n):
    """The sum of w[x + i] w[y + i], i below n, a multiple of four."""

    def codegen(context, builder, signature, args):
        gates = Arithmetic(block_of(context, builder, signature, args[0]))
        x, y, n = args[1:]
        (total,) = gates.sums(1)
        with gates.block.loop_to(n, FOUR) as i:
            left, right = gates.block.load(builder.add(x, i)), gates.block.load(builder.add(y, i))
            gates.block.accumulate(total, left, right)
        return gates.block.sum_of_lanes(builder.load(total))

    return types.float64(w, types.intp, types.intp, types.intp), codegen


def nothing(w, *arguments):
    """The signature of a function of `w` that returns nothing."""
    return types.void(w, *arguments)
