"""Four doubles at a time: the three innermost operations of the native kernel as LLVM vectors.

Numba does not vectorise straight-line code (its SLP pass is off), and loops of four are too
short for its loop vectoriser. Each function here works on one array `w`, on blocks of four
that start at the given indices; there is no bounds check.
"""

from llvmlite import ir
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
def outer_lanes(typingctx, w, c, a, b):
    """w[c + 4 i + j] += w[a + i] w[b + j]."""

    def codegen(context, builder, signature, args):
        block = _Block(context, builder, signature, args[0])
        c, a, b = args[1:]
        right = block.load(b)
        for i in range(4):
            total = block.multiply_add(block.broadcast(a, i), right, block.load(c, 4 * i))
            block.store(total, c, 4 * i)
        return context.get_dummy_value()

    return types.void(w, *_indices(3)), codegen


@intrinsic
def outer_rows(typingctx, w, c, a, b, stride):
    """w[c + 16 i + 4 j + l] += w[a + i stride + l] w[b + j stride + l] for l = 0..3."""

    def codegen(context, builder, signature, args):
        block = _Block(context, builder, signature, args[0])
        c, a, b, stride = args[1:]
        shifts = [builder.mul(stride, ir.Constant(stride.type, j)) for j in range(4)]
        right = [block.load(builder.add(b, shift)) for shift in shifts]
        for i in range(4):
            left = block.load(builder.add(a, shifts[i]))
            for j in range(4):
                offset = 16 * i + 4 * j
                block.store(block.multiply_add(left, right[j], block.load(c, offset)), c, offset)
        return context.get_dummy_value()

    return types.void(w, *_indices(4)), codegen


def _graded(flip):
    """Complex ``y[i] += u[i] x[i ^ flip]`` on four lanes; `flip` is 0 to 3."""
    lanes = tuple(lane ^ flip for lane in range(4))

    @intrinsic
    def graded(typingctx, w, y, x, u, size):
        def codegen(context, builder, signature, args):
            block = _Block(context, builder, signature, args[0])
            y, x, u, size = args[1:]
            y_im, x_im, u_im = (builder.add(i, size) for i in (y, x, u))
            x_re, x_im = (block.shuffle(block.load(i), lanes) for i in (x, x_im))
            u_re, u_im = block.load(u), block.load(u_im)
            real = block.multiply_add(u_re, x_re, block.load(y))
            real = block.multiply_add(block.negative(u_im), x_im, real)
            imaginary = block.multiply_add(u_re, x_im, block.load(y_im))
            imaginary = block.multiply_add(u_im, x_re, imaginary)
            block.store(real, y)
            block.store(imaginary, y_im)
            return context.get_dummy_value()

        return types.void(w, *_indices(4)), codegen

    return graded


graded_0, graded_1, graded_2, graded_3 = (_graded(flip) for flip in range(4))
