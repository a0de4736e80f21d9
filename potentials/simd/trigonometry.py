"""Sines and cosines of vectors of any width, as LLVM instructions."""
# mypy: allow-untyped-defs, allow-untyped-calls
# LLVM carries the types here.

import math

from llvmlite import ir
from numba.core import cgutils

HALF_PI = 1.5707963267948966, 6.123233995736766e-17
"""pi / 2 in two parts; multiply-adds take multiples of it off an angle without rounding."""
SINE = (
    1.58969099521155010221e-10, -2.50507602534068634195e-08, 2.75573137070700676789e-06,
    -1.98412698298579493134e-04, 8.33333333332248946124e-03, -1.66666666666666324348e-01,
)  # fmt: skip
COSINE = (
    -1.13596475577881948265e-11, 2.08757232129817482790e-09, -2.75573143513906633035e-07,
    2.48015872894767294178e-05, -1.38888888888741095749e-03, 4.16666666666666019037e-02,
)  # fmt: skip
"""Coefficients on [-pi/4, pi/4], errors below 2**-58 (FreeBSD msun, k_sin.c and k_cos.c)."""


def constant(like, value):
    """`value` in all lanes of a vector as wide as `like`."""
    return ir.Constant(like.type, [value] * like.type.count)


def call(builder, name, *vectors):
    """An LLVM intrinsic of vectors of one width."""
    kind = vectors[0].type
    function = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(kind, [kind] * len(vectors)),
        f"llvm.{name}.v{kind.count}f64",
    )
    return builder.call(function, vectors)


def _polynomial(builder, coefficients, z):
    value = constant(z, coefficients[0])
    for coefficient in coefficients[1:]:
        value = call(builder, "fma", value, z, constant(z, coefficient))
    return value


def sine_and_cosine(builder, x):
    """Return sine and cosine of angles below 1e9: quarter turns first, then polynomials."""

    def fma(a, b, c):
        return call(builder, "fma", a, b, c)

    n = call(builder, "rint", builder.fmul(x, constant(x, 2 / math.pi)))
    minus = builder.fneg(n)
    y = fma(minus, constant(x, HALF_PI[1]), fma(minus, constant(x, HALF_PI[0]), x))
    z = builder.fmul(y, y)
    sine = fma(builder.fmul(y, z), _polynomial(builder, SINE, z), y)
    square = builder.fmul(z, z)
    near = fma(constant(x, -0.5), z, constant(x, 1.0))
    cosine = fma(square, _polynomial(builder, COSINE, z), near)
    integers = ir.VectorType(ir.IntType(32), x.type.count)
    quarter = builder.fptosi(n, integers)

    def every(value):
        return ir.Constant(integers, [value] * integers.count)

    def bit(value, mask):
        return builder.icmp_signed("!=", builder.and_(value, every(mask)), every(0))

    odd = bit(quarter, 1)
    a, b = builder.select(odd, cosine, sine), builder.select(odd, sine, cosine)
    next_quarter = builder.add(quarter, every(1))
    sine = builder.select(bit(quarter, 2), builder.fneg(a), a)
    return sine, builder.select(bit(next_quarter, 2), builder.fneg(b), b)


def of_half_angle(builder, square):
    """Return cos r and sin r / r of vectors with the squares r^2; both smooth at 0."""
    tiny = builder.fcmp_ordered("<", square, constant(square, 1e-12))
    safe = builder.select(tiny, constant(square, 1.0), square)
    r = call(builder, "sqrt", safe)
    sine, cosine = sine_and_cosine(builder, r)
    series = call(builder, "fma", square, constant(square, -1 / 6), constant(square, 1.0))
    sinc = builder.select(tiny, series, builder.fdiv(sine, r))
    flat = call(builder, "fma", square, constant(square, -0.5), constant(square, 1.0))
    return builder.select(tiny, flat, cosine), sinc
