"""Four doubles at a time: the innermost operations of the native kernel as LLVM vectors.

Numba does not vectorise straight-line code (its SLP pass is off), and loops of four are too
short for its loop vectoriser. Each function here works on one array `w`, on blocks of four
that start at the given indices; there is no bounds check.
"""
# mypy: allow-untyped-defs, allow-untyped-calls
# Numba and LLVM carry the types here.

from contextlib import contextmanager

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_DOUBLE = ir.DoubleType()
_VECTOR = ir.VectorType(_DOUBLE, 4)
_INDEX = ir.IntType(32)


class _Block:
    """Loads, stores and multiply-adds on the data of `w`."""

    def __init__(self, context, builder, signature, array):
        self.builder = builder
        self.data = context.make_array(signature.args[0])(context, builder, array).data
        self.fma = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(_VECTOR, [_VECTOR] * 3), "llvm.fma.v4f64"
        )

    def at(self, index, offset=0):
        index = self.builder.add(index, ir.Constant(index.type, offset))
        return self.builder.gep(self.data, [index])

    def _vector_at(self, index, offset):
        return self.builder.bitcast(self.at(index, offset), _VECTOR.as_pointer())

    def load(self, index, offset=0):
        return self.builder.load(self._vector_at(index, offset), align=8)

    def store(self, value, index, offset=0):
        self.builder.store(value, self._vector_at(index, offset), align=8)

    def broadcast(self, index, offset=0):
        scalar = self.builder.load(self.at(index, offset))
        return self.shuffle(
            self.builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), scalar, _INDEX(0)),
            (0, 0, 0, 0),
        )

    def shuffle(self, value, lanes):
        mask = ir.Constant(ir.VectorType(_INDEX, 4), [_INDEX(lane) for lane in lanes])
        return self.builder.shuffle_vector(value, ir.Constant(_VECTOR, ir.Undefined), mask)

    def multiply_add(self, a, b, c):
        return self.builder.call(self.fma, [a, b, c])

    def negative(self, a):
        return self.builder.fneg(a)

    @property
    def zero(self):
        return ir.Constant(_VECTOR, [0.0] * 4)

    def accumulator(self):
        return cgutils.alloca_once_value(self.builder, self.zero)

    def accumulate(self, total, a, b):
        self.builder.store(self.multiply_add(a, b, self.builder.load(total)), total)

    @contextmanager
    def loop(self, count, step):
        """Loop `count` times over 0, step, 2 step, ..."""
        with cgutils.for_range(self.builder, count) as loop:
            yield self.builder.mul(loop.index, step)

    @contextmanager
    def loop_to(self, stop, step):
        """Loop over 0, step, ... below `stop`."""
        if isinstance(step, int):
            step = ir.Constant(stop.type, step)
        start = ir.Constant(stop.type, 0)
        with cgutils.for_range_slice(self.builder, start, stop, step) as (index, _):
            yield index


def _indices(n):
    return [types.intp] * n


@intrinsic
def turn_lanes(typingctx, w, y, x, m):
    """w[y + i] = sum_j w[m + 4 j + i] w[x + j]: a 4 x 4 matrix on four neighbours."""

    def codegen(context, builder, signature, args):
        block = _Block(context, builder, signature, args[0])
        y, x, m = args[1:]
        total = builder.fmul(block.broadcast(x), block.load(m))
        for j in range(1, 4):
            total = block.multiply_add(block.broadcast(x, j), block.load(m, 4 * j), total)
        block.store(total, y)
        return context.get_dummy_value()

    return types.void(w, *_indices(3)), codegen


@intrinsic
def turn_rows(typingctx, w, y, x, stride, m):
    """w[y + i stride + l] = sum_j w[m + 4 j + i] w[x + j stride + l] for l = 0..3."""

    def codegen(context, builder, signature, args):
        block = _Block(context, builder, signature, args[0])
        y, x, stride, m = args[1:]
        shifts = [builder.mul(stride, ir.Constant(stride.type, j)) for j in range(4)]
        rows = [block.load(builder.add(x, shift)) for shift in shifts]
        for i in range(4):
            total = builder.fmul(block.broadcast(m, i), rows[0])
            for j in range(1, 4):
                total = block.multiply_add(block.broadcast(m, 4 * j + i), rows[j], total)
            block.store(total, builder.add(y, shifts[i]))
        return context.get_dummy_value()

    return types.void(w, *_indices(4)), codegen


@intrinsic
def outer_lanes(typingctx, w, c, a, b, slices, step, size):
    """w[c + 4 i + j] = sum w[a + n + i] w[b + n + j], n over `slices` runs of `size` numbers.

    The runs start `step` numbers apart.
    """

    def codegen(context, builder, signature, args):
        block = _Block(context, builder, signature, args[0])
        c, a, b, slices, step, size = args[1:]
        totals = [block.accumulator() for _ in range(4)]
        with block.loop(slices, step) as run, block.loop_to(size, 4) as lane:
            n = builder.add(run, lane)
            right = block.load(builder.add(b, n))
            for i, total in enumerate(totals):
                block.accumulate(total, block.broadcast(builder.add(a, n), i), right)
        for i, total in enumerate(totals):
            block.store(builder.load(total), c, 4 * i)
        return context.get_dummy_value()

    return types.void(w, *_indices(6)), codegen


@intrinsic
def outer_rows(typingctx, w, c, a, b, slices, step, size, stride):
    """w[c + 16 i + 4 j + l] = sum w[a + n + i stride + l] w[b + n + j stride + l], l = 0..3.

    The sum over l is left to the caller; runs as in `outer_lanes`.
    """

    def codegen(context, builder, signature, args):
        block = _Block(context, builder, signature, args[0])
        c, a, b, slices, step, size, stride = args[1:]
        shifts = [builder.mul(stride, ir.Constant(stride.type, j)) for j in range(4)]
        group = builder.mul(stride, ir.Constant(stride.type, 4))
        for half in (0, 2):  # eight sums at a time stay in registers
            totals = [[block.accumulator() for _ in range(4)] for _ in range(2)]
            with (
                block.loop(slices, step) as run,
                block.loop_to(size, group) as start,
                block.loop_to(stride, 4) as lane,
            ):
                n = builder.add(builder.add(run, start), lane)
                right = [block.load(builder.add(builder.add(b, n), shift)) for shift in shifts]
                for i, row in enumerate(totals):
                    left = block.load(builder.add(builder.add(a, n), shifts[half + i]))
                    for j, total in enumerate(row):
                        block.accumulate(total, left, right[j])
            for i, row in enumerate(totals):
                for j, total in enumerate(row):
                    block.store(builder.load(total), c, 16 * (half + i) + 4 * j)
        return context.get_dummy_value()

    return types.void(w, *_indices(7)), codegen


def _graded(lanes, accumulate):
    """Complex ``y[i] (+)= sum_c u_c[i] x[i ^ flip_c]`` on four neighbours.

    `lanes[c]` is the part of flip_c within the four; flip_3 = flip_1 ^ flip_2.
    """

    @intrinsic
    def graded(typingctx, w, y, x, i, flip_1, flip_2, u, size):
        def codegen(context, builder, signature, args):
            block = _Block(context, builder, signature, args[0])
            y, x, i, flip_1, flip_2, u, size = args[1:]
            y_re = builder.add(y, i)
            y_im = builder.add(y_re, size)
            zero = ir.Constant(i.type, 0)
            flips = [zero, flip_1, flip_2, builder.xor(flip_1, flip_2)]
            real = block.load(y_re) if accumulate else block.zero
            imaginary = block.load(y_im) if accumulate else block.zero
            for c, lane in enumerate(lanes):
                at = builder.add(x, builder.xor(i, flips[c]))
                order = tuple(n ^ lane for n in range(4))
                x_re = block.shuffle(block.load(at), order)
                x_im = block.shuffle(block.load(builder.add(at, size)), order)
                u_re, u_im = block.load(u, 8 * c), block.load(u, 8 * c + 4)
                real = block.multiply_add(u_re, x_re, real)
                imaginary = block.multiply_add(u_re, x_im, imaginary)
                real = block.multiply_add(block.negative(u_im), x_im, real)
                imaginary = block.multiply_add(u_im, x_re, imaginary)
            block.store(real, y_re)
            block.store(imaginary, y_im)
            return context.get_dummy_value()

        return types.void(w, *_indices(7)), codegen

    return graded


DIAGONAL, ROWS, LANES = 0, 1, 2
"""Patterns of a graded operation: no flip, flips among blocks of four, flips within them too."""
_PATTERNS = ((0,), (0, 0, 0, 0), (0, 1, 2, 3))
graded_diagonal, graded_rows, graded_lanes = (_graded(p, False) for p in _PATTERNS)
add_diagonal, add_rows, add_lanes = (_graded(p, True) for p in _PATTERNS)
