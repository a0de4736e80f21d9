"""Arithmetic on short vectors of one geometry, or of several geometries side by side.

A kernel that is written on these vectors is emitted twice. `Alone` keeps a vector in a register,
so that taking other elements of it is an instruction. `Beside` has a register for each element,
with as many geometries as a register has lanes: taking other elements costs nothing. Both do the
same operations on the same numbers, so that a geometry has the same bits in either.
"""
# mypy: allow-untyped-defs, allow-untyped-calls
# LLVM carries the types here.

import abc

from llvmlite import ir
from numba.core import cgutils

from .trigonometry import call

_DOUBLE, _INDEX = ir.DoubleType(), ir.IntType(32)


def _pointer(builder, data, at, kind):
    return builder.bitcast(builder.gep(data, [at]), kind.as_pointer())


class Geometries(abc.ABC):
    """Parts that `Alone` and `Beside` share.

    Parameters
    ----------
    builder : IRBuilder
    w : pointer to double
        Constants, and scratch.
    """

    unit: int
    """Numbers in the place of one number: the geometries side by side."""

    def __init__(self, builder, w):
        self.builder, self.w = builder, w

    @abc.abstractmethod
    def each(self, function, *vectors):
        """Apply a function of LLVM vectors to the elements of vectors."""

    @abc.abstractmethod
    def two(self, function, *vectors):
        """The same for a function with two results."""

    @abc.abstractmethod
    def pick(self, lanes, first, second=None):
        """Elements of a vector, or of two of one length, one behind the other."""

    @abc.abstractmethod
    def numbers(self, values):
        """A vector of constants."""

    @abc.abstractmethod
    def constants_at(self, at, n):
        """n constants of the workspace, the same for all geometries."""

    @abc.abstractmethod
    def number(self, data, at, n):
        """The number `at` of an array of the geometries, n times."""

    @abc.abstractmethod
    def put(self, value, data, at):
        """Write the result of `total` as the number `at` of an array of the geometries."""

    @abc.abstractmethod
    def load(self, at, n):
        """n neighbours in the scratch, which begin at the place `at`."""

    @abc.abstractmethod
    def store(self, vector, at):
        """Write neighbours in the scratch."""

    @abc.abstractmethod
    def total(self, vector):
        """The sum of two, four or eight elements: that of the halves first."""

    def offset(self, at, n):
        """The place n numbers behind `at`, both in units of a number."""
        return self.builder.add(at, ir.Constant(at.type, n))

    def add(self, a, b):
        return self.each(self.builder.fadd, a, b)

    def subtract(self, a, b):
        return self.each(self.builder.fsub, a, b)

    def multiply(self, a, b):
        return self.each(self.builder.fmul, a, b)

    def divide(self, a, b):
        return self.each(self.builder.fdiv, a, b)

    def negative(self, a):
        return self.each(self.builder.fneg, a)

    def fma(self, a, b, c):
        return self.each(lambda *abc: call(self.builder, "fma", *abc), a, b, c)

    def variable(self, vector):
        """Places on the stack that hold a vector."""
        return self.each(lambda part: cgutils.alloca_once_value(self.builder, part), vector)

    def value(self, variable):
        """The vector in a variable."""
        return self.each(self.builder.load, variable)

    def assign(self, vector, variable):
        """Put a vector into a variable."""
        self.each(self.builder.store, vector, variable)


class Alone(Geometries):
    """Vectors of one geometry."""

    unit = 1

    def each(self, function, *vectors):
        return function(*vectors)

    def two(self, function, *vectors):
        return function(*vectors)

    def pick(self, lanes, first, second=None):
        if second is None:
            second = ir.Constant(first.type, ir.Undefined)
        mask = ir.Constant(ir.VectorType(_INDEX, len(lanes)), [_INDEX(lane) for lane in lanes])
        return self.builder.shuffle_vector(first, second, mask)

    def numbers(self, values):
        return ir.Constant(ir.VectorType(_DOUBLE, len(values)), list(values))

    def constants_at(self, at, n):
        kind = ir.VectorType(_DOUBLE, n)
        return self.builder.load(_pointer(self.builder, self.w, at, kind), align=8)

    def number(self, data, at, n):
        scalar = self.builder.load(self.builder.gep(data, [at]))
        undefined = ir.Constant(ir.VectorType(_DOUBLE, n), ir.Undefined)
        return self.pick((0,) * n, self.builder.insert_element(undefined, scalar, _INDEX(0)))

    def put(self, value, data, at):
        self.builder.store(value, self.builder.gep(data, [at]))

    def load(self, at, n):
        return self.constants_at(at, n)

    def store(self, vector, at):
        pointer = _pointer(self.builder, self.w, at, vector.type)
        self.builder.store(vector, pointer, align=8)

    def total(self, vector):
        n = vector.type.count
        while n > 2:
            n //= 2
            vector = self.add(self.pick(range(n), vector), self.pick(range(n, 2 * n), vector))
        low, high = (self.builder.extract_element(vector, _INDEX(i)) for i in range(2))
        return self.builder.fadd(low, high)


class Beside(Geometries):
    """Vectors of several geometries: a list of registers, one for each element.

    Parameters
    ----------
    builder, w
        As in `Geometries`.
    width : int
        Number of geometries.
    """

    def __init__(self, builder, w, width):
        super().__init__(builder, w)
        self.unit, self._kind = width, ir.VectorType(_DOUBLE, width)

    def each(self, function, *vectors):
        return [function(*parts) for parts in zip(*vectors, strict=True)]

    def two(self, function, *vectors):
        both = self.each(function, *vectors)
        return [first for first, _ in both], [second for _, second in both]

    def pick(self, lanes, first, second=None):
        both = [*first, *(second or ())]
        return [both[lane] for lane in lanes]

    def numbers(self, values):
        return [ir.Constant(self._kind, [value] * self.unit) for value in values]

    def constants_at(self, at, n):
        builder, found = self.builder, []
        for i in range(n):
            scalar = builder.load(builder.gep(self.w, [self.offset(at, i)]))
            whole = builder.insert_element(ir.Constant(self._kind, ir.Undefined), scalar, _INDEX(0))
            mask = ir.Constant(ir.VectorType(_INDEX, self.unit), [_INDEX(0)] * self.unit)
            found.append(builder.shuffle_vector(whole, whole, mask))
        return found

    def _number(self, data, at):
        at = self.builder.mul(at, ir.Constant(at.type, self.unit))
        return _pointer(self.builder, data, at, self._kind)

    def number(self, data, at, n):
        return [self.builder.load(self._number(data, at), align=8)] * n

    def put(self, value, data, at):
        self.builder.store(value[0], self._number(data, at), align=8)

    def _scratch(self, at, i):
        at = self.offset(at, i * self.unit)
        return _pointer(self.builder, self.w, at, self._kind)

    def load(self, at, n):
        return [self.builder.load(self._scratch(at, i), align=8) for i in range(n)]

    def store(self, vector, at):
        for i, part in enumerate(vector):
            self.builder.store(part, self._scratch(at, i), align=8)

    def total(self, vector):
        n = len(vector)
        while n > 1:
            n //= 2
            vector = self.add(vector[:n], vector[n:])
        return vector
