"""Four doubles at a time: the innermost operations of the native kernel as LLVM vectors.

Numba does not vectorise straight-line code (its SLP pass is off), and loops of four are too
short for its loop vectoriser. Each function here works on one array `w`, on blocks of four
that start at the given indices; there is no bounds check.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
# Numba and LLVM carry the types here.
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..compilation import inner

_DOUBLE = ir.DoubleType()
_INDEX = ir.IntType(32)


class _Block:
    """Loads, stores and multiply-adds on the data of `w`, `width` numbers at a time."""

    def __init__(self, context, builder, signature, array, width=4):
        self.builder, self.width = builder, width
        self.vector = ir.VectorType(_DOUBLE, width)
        self.data = context.make_array(signature.args[0])(context, builder, array).data
        self.fma = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(self.vector, [self.vector] * 3),
            f"llvm.fma.v{width}f64",
        )

    def at(self, index, offset=0):
        index = self.builder.add(index, ir.Constant(index.type, offset))
        return self.builder.gep(self.data, [index])

    def _vector_at(self, index, offset):
        return self.builder.bitcast(self.at(index, offset), self.vector.as_pointer())

    def load(self, index, offset=0):
        return self.builder.load(self._vector_at(index, offset), align=8)

    def store(self, value, index, offset=0):
        self.builder.store(value, self._vector_at(index, offset), align=8)

    def broadcast(self, index, offset=0):
        return self.spread(self.builder.load(self.at(index, offset)))

    def spread(self, scalar):
        """`scalar` in all lanes."""
        undefined = ir.Constant(self.vector, ir.Undefined)
        return self.shuffle(
            self.builder.insert_element(undefined, scalar, _INDEX(0)), (0,) * self.width
        )

    def shuffle(self, value, lanes):
        mask = ir.Constant(ir.VectorType(_INDEX, len(lanes)), [_INDEX(lane) for lane in lanes])
        return self.builder.shuffle_vector(value, ir.Constant(value.type, ir.Undefined), mask)

    def multiply_add(self, a, b, c):
        return self.builder.call(self.fma, [a, b, c])

    def negative(self, a):
        return self.builder.fneg(a)

    def constant(self, value):
        """`value` in all lanes."""
        return ir.Constant(self.vector, [value] * self.width)

    @property
    def zero(self):
        return self.constant(0.0)

    def sum_of_lanes(self, value):
        """The sum of four lanes."""
        pairs = self.builder.fadd(value, self.shuffle(value, (2, 3, 0, 1)))
        total = self.builder.fadd(pairs, self.shuffle(pairs, (1, 0, 3, 2)))
        return self.builder.extract_element(total, _INDEX(0))

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


def block_of(context, builder, signature, array, width=4):
    """For the intrinsics of other files."""
    return _Block(context, builder, signature, array, width)


def _indices(n):
    return [types.intp] * n


@intrinsic
def turn_lanes(typingctx, w, y, x, m):
    """w[y + i] = sum_j w[m + 4 j + i] w[x + j]: a 4 x 4 matrix on four neighbours."""

    def codegen(context, builder, signature, args):
        block = _Block(context, builder, signature, args[0])
        y, x, m = args[1:]
        block.store(_turned_lanes(block, block.load(x), m), y)
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
        for row, shift in zip(_turned_rows(block, rows, m), shifts, strict=True):
            block.store(row, builder.add(y, shift))
        return context.get_dummy_value()

    return types.void(w, *_indices(4)), codegen


def _turned_rows(block, rows, m):
    """The 4 x 4 matrix at m, column by column, on four vectors."""
    turned = []
    for i in range(4):
        total = block.builder.fmul(block.broadcast(m, i), rows[0])
        for j in range(1, 4):
            total = block.multiply_add(block.broadcast(m, 4 * j + i), rows[j], total)
        turned.append(total)
    return turned


def _turned_lanes(block, row, m):
    """The 4 x 4 matrix at m, column by column, on the lanes of one vector."""
    total = block.builder.fmul(block.shuffle(row, (0,) * 4), block.load(m))
    for j in range(1, 4):
        total = block.multiply_add(block.shuffle(row, (j,) * 4), block.load(m, 4 * j), total)
    return total


def _encoded(block, state, m):
    """Rotations of both pairs (at m and m + 32) on a state of two pairs."""
    second = block.builder.add(m, ir.Constant(m.type, 32))
    return [
        [_turned_lanes(block, row, second) for row in _turned_rows(block, part, m)]
        for part in state
    ]


def _coupled(block, state, u):
    """Graded constants at u (pattern LANES) on a state of two pairs."""
    real, imaginary = state
    coupled: tuple[list[Any], list[Any]] = ([], [])
    for a in range(4):
        sums = [block.zero] * 4  # four short chains instead of two long ones: latency counts
        for c in range(4):
            order = tuple(lane ^ c for lane in range(4))
            x_re, x_im = (block.shuffle(part[a ^ c], order) for part in (real, imaginary))
            u_re, u_im = block.load(u, 32 * a + 8 * c), block.load(u, 32 * a + 8 * c + 4)
            pairs = ((u_re, x_re), (u_im, x_im), (u_re, x_im), (u_im, x_re))
            sums = [block.multiply_add(*p, s) for p, s in zip(pairs, sums, strict=True)]
        coupled[0].append(block.builder.fsub(sums[0], sums[1]))
        coupled[1].append(block.builder.fadd(sums[2], sums[3]))
    return coupled


def _load_state(block, x):
    return [[block.load(x, 16 * part + 4 * a) for a in range(4)] for part in range(2)]


def _store_state(block, state, y):
    for part, rows in enumerate(state):
        for a, row in enumerate(rows):
            block.store(row, y, 16 * part + 4 * a)


@intrinsic
def encode_two_pairs(typingctx, w, y, x, m):
    """Two pairs: the state at x through the rotations at m and m + 32."""

    def codegen(context, builder, signature, args):
        block = _Block(context, builder, signature, args[0])
        y, x, m = args[1:]
        _store_state(block, _encoded(block, _load_state(block, x), m), y)
        return context.get_dummy_value()

    return types.void(w, *_indices(3)), codegen


def _steps(back):
    """Loop over the layers of a circuit of two pairs, with the state in registers."""

    @intrinsic
    def steps(typingctx, w, x, u, u_step, m, m_step, n):
        def codegen(context, builder, signature, args):
            block = _Block(context, builder, signature, args[0])
            x, u, u_step, m, m_step, n = args[1:]
            state = [
                [cgutils.alloca_once_value(builder, row) for row in p]
                for p in _load_state(block, x)
            ]
            one = ir.Constant(n.type, 1)
            with cgutils.for_range(builder, n) as loop:
                now = [[builder.load(row) for row in part] for part in state]
                at_u = builder.add(u, builder.mul(loop.index, u_step))
                at_m = builder.add(m, builder.mul(loop.index, m_step))
                if back:
                    now = _coupled(block, _encoded(block, now, at_m), at_u)
                else:
                    now = _encoded(block, _coupled(block, now, at_u), at_m)
                distance = builder.mul(builder.add(loop.index, one), ir.Constant(n.type, 32))
                target = builder.sub(x, distance) if back else builder.add(x, distance)
                _store_state(block, now, target)
                for part, rows in zip(state, now, strict=True):
                    for variable, row in zip(part, rows, strict=True):
                        builder.store(row, variable)
            return context.get_dummy_value()

        return types.void(w, *_indices(6)), codegen

    return steps


steps_two_pairs = _steps(back=False)
"""``psi_{d+1} = Phi U psi_d`` for n layers: from the state at x to those at x + 32, x + 64, ...

Graded constants at u, u + u_step, ...; rotations of both pairs at m, m + m_step, ...
"""
steps_back_two_pairs = _steps(back=True)
"""``lambda_{d-1} = U^+ Phi^+ lambda_d``: from the state at x to those at x - 32, x - 64, ..."""


@intrinsic
def outer_lanes(typingctx, w, c, a, b, slices, step, size):
    """w[c + 4 i + j] = sum w[a + n + i] w[b + n + j], n over `slices` runs of `size` numbers.

    The runs start `step` numbers apart.
    """

    def codegen(context, builder, signature, args):
        block = _Block(context, builder, signature, args[0])
        c, a, b, slices, step, size = args[1:]
        totals = [[block.accumulator() for _ in range(4)] for _ in range(2)]
        with block.loop(slices, step) as run, block.loop_to(size, 8) as lane:
            for half, sums in enumerate(totals):  # two sets of sums: latency counts
                n = builder.add(builder.add(run, lane), ir.Constant(run.type, 4 * half))
                left, right = block.load(builder.add(a, n)), block.load(builder.add(b, n))
                for i, total in enumerate(sums):
                    block.accumulate(total, block.shuffle(left, (i,) * 4), right)
        for i, (even, odd) in enumerate(zip(*totals, strict=True)):
            block.store(builder.fadd(builder.load(even), builder.load(odd)), c, 4 * i)
        return context.get_dummy_value()

    return types.void(w, *_indices(6)), codegen


@intrinsic
def outer_rows(typingctx, w, c, a, b, slices, step, size, stride):
    """w[c + 4 i + j] = sum w[a + n + i stride + l] w[b + n + j stride + l], l = 0..3, i != j.

    i = j is left out: torques need the antisymmetric part only. Runs as in `outer_lanes`.
    """

    def codegen(context, builder, signature, args):
        block = _Block(context, builder, signature, args[0])
        c, a, b, slices, step, size, stride = args[1:]
        shifts = [builder.mul(stride, ir.Constant(stride.type, j)) for j in range(4)]
        group = builder.mul(stride, ir.Constant(stride.type, 4))
        totals = {(i, j): block.accumulator() for i in range(4) for j in range(4) if i != j}
        with (
            block.loop(slices, step) as run,
            block.loop_to(size, group) as start,
            block.loop_to(stride, 4) as lane,
        ):
            n = builder.add(builder.add(run, start), lane)
            left, right = (
                [block.load(builder.add(builder.add(x, n), shift)) for shift in shifts]
                for x in (a, b)
            )
            for (i, j), total in totals.items():
                block.accumulate(total, left[i], right[j])
        for (i, j), total in totals.items():
            builder.store(block.sum_of_lanes(builder.load(total)), block.at(c, 4 * i + j))
        return context.get_dummy_value()

    return types.void(w, *_indices(7)), codegen


@intrinsic
def radial_rows(typingctx, w, y, c, values, count, size):
    """w[y + i] = sum_g w[values + 2 g] w[c + g size + i], and its slope at w[y + size + i].

    i below `size`, a multiple of four; g below `count`. The slope is the same sum with
    w[values + 2 g + 1].
    """

    def codegen(context, builder, signature, args):
        block = _Block(context, builder, signature, args[0])
        y, c, values, count, size = args[1:]
        two = ir.Constant(count.type, 2)
        with block.loop_to(size, 4) as lane:
            totals = [block.accumulator() for _ in range(2)]
            for total in totals:
                builder.store(block.zero, total)
            with cgutils.for_range(builder, count) as loop:
                row = block.load(builder.add(builder.add(c, lane), builder.mul(loop.index, size)))
                at = builder.add(values, builder.mul(loop.index, two))
                for i, total in enumerate(totals):
                    block.accumulate(total, block.broadcast(at, i), row)
            to = builder.add(y, lane)
            for start, total in zip((to, builder.add(to, size)), totals, strict=True):
                block.store(builder.load(total), start)
        return context.get_dummy_value()

    return types.void(w, *_indices(5)), codegen


def _graded(lanes):
    """Complex ``y[i] = sum_c u_c[i] x[i ^ flip_c]`` on four neighbours.

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
            real = imaginary = block.zero
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
graded_diagonal, graded_rows, graded_lanes = (_graded(p) for p in _PATTERNS)


@inner
def padded(n: int) -> int:
    """`n` filled up to a multiple of four."""
    return (n + 3) & ~3
