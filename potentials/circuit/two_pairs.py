"""Energy and forces of a circuit on two pairs of spins whose layers share their vectors.

The algorithm is that of `kernel`, with the states in registers, on the vectors of
`simd.geometries`. A state is four vectors of eight numbers, two for its real part and two for the
imaginary part: amplitude (a, b) of the two pairs lies in vector ``a // 2``, element
``4 (a % 2) + b``. Everything is in terms of ``(a ^ c, b ^ c')``, where c flips bits of an index:

- a rotation of a pair is ``y_i = sum_c G_c[i] x_{i^c}``, ``G_c[i] = S[i][i ^ c]``;
- a layer is ``y_ab = sum_c U_c[a, b] x_{a^c, b^c}``, graded as `lowering` says;
- the torques on the spins of a pair need only ``sum_rest lambda_i psi_{i^c}``, which are added up
  on the way back while the next adjoint state is computed.
"""
# mypy: allow-untyped-defs, allow-untyped-calls
# Numba and LLVM carry the types here.

from functools import partial
from typing import Any

from llvmlite import ir
from numba.core import cgutils

from ..simd.trigonometry import constant, of_half_angle

STATE = 32
"""Numbers of a state."""
LAYER = 128
"""Numbers of a layer, or of its adjoint: by vector and c eight real parts, eight imaginary."""
ROWS = range(2)
FLIPS = range(4)
_SIGNS = {
    # a and b of two rows: A[i][i ^ e] = _SIGNS["first"][i][e] a_e; see `kernel._rotation`.
    "first": ((1, 1, 1, 1), (1, -1, 1, -1), (1, -1, -1, 1), (1, 1, -1, -1)),
    "second": ((1, -1, -1, -1), (1, 1, 1, -1), (1, -1, 1, 1), (1, 1, -1, 1)),
}


def flipped(i, n=8):
    """Indices of n elements, with the bits of i flipped."""
    return [lane ^ i for lane in range(n)]


class Steps:
    """The steps of the algorithm, on the vectors of `v`."""

    stride = STATE
    """Numbers from a state to the next."""

    def __init__(self, v, n_layers):
        self.v, self.n_layers = v, n_layers

    def vectors(self, positions, weights, n_atoms):
        """Encoding vectors of the four spins: x, y and z, each a vector of four."""
        v, builder = self.v, self.v.builder
        found = [v.variable(v.numbers([0.0] * 4)) for _ in range(3)]
        with cgutils.for_range(builder, n_atoms) as loop:
            of_atom = builder.add(weights, builder.mul(loop.index, ir.Constant(n_atoms.type, 4)))
            row = v.constants_at(of_atom, 4)
            first = builder.mul(loop.index, ir.Constant(n_atoms.type, 3))
            for axis, total in enumerate(found):
                x = v.number(positions, v.offset(first, axis), 4)
                v.assign(v.fma(row, x, v.value(total)), total)
        return [v.value(total) for total in found]

    def rotations(self, vectors):
        """G_c of the two pairs, c = 0..3, eight numbers each; also cos |v| and sin |v| / |v|."""
        v = self.v
        square = self.square(vectors)
        cosine, sinc = v.two(partial(of_half_angle, v.builder), square)
        parts = [cosine, *(v.multiply(sinc, x) for x in vectors)]
        low, high = (v.pick(range(8), *parts[i : i + 2]) for i in (0, 2))
        first, second = (
            v.pick([4 * e + side + spin for spin in (0, 2) for e in range(4)], low, high)
            for side in (0, 1)
        )
        found = []
        for c in FLIPS:
            products = v.multiply(first, v.pick(flipped(c), second))  # a_e b_{e ^ c}
            total = None
            for e in FLIPS:
                signs = [
                    _SIGNS["first"][i][e] * _SIGNS["second"][i ^ e][e ^ c] for i in range(4)
                ]  # fmt: skip
                signs = v.numbers([float(sign) for sign in signs * 2])
                spread = v.pick([e] * 4 + [4 + e] * 4, products)
                total = v.multiply(signs, spread) if total is None else v.fma(signs, spread, total)
            found.append(total)
        return found, cosine, sinc

    def square(self, vectors):
        """The squares of the lengths."""
        v, (x, y, z) = self.v, vectors
        return v.fma(z, z, v.fma(y, y, v.multiply(x, x)))

    def coefficients(self, rotations, transposed):
        """Coefficients of the first pair, by vector and c, and of the second, by c."""
        v, rows = self.v, []
        for r in ROWS:
            row = []
            for c in FLIPS:
                low, high = ((2 * r + h) ^ (c if transposed else 0) for h in range(2))
                row.append(v.pick([low] * 4 + [high] * 4, rotations[c]))
            rows.append(row)
        lanes = []
        for c in FLIPS:
            order = [4 + (b ^ (c if transposed else 0)) for b in range(4)]
            lanes.append(v.pick(order * 2, rotations[c]))
        return rows, lanes

    def sum_of_four(self, terms):
        """A sum of four products, two and two: a shorter chain than one after the other."""
        v = self.v
        total = v.multiply(*terms[0])
        for term in terms[1:]:
            total = v.fma(*term, total)
        return total

    def turned(self, coefficients, state):
        """Both pairs of a state, turned."""
        rows, lanes = coefficients
        return [self._turned(rows, lanes, part) for part in state]

    def _turned(self, rows, lanes, part):
        v = self.v
        part = [
            self.sum_of_four([(lanes[c], v.pick(flipped(c), x) if c else x) for c in FLIPS])
            for x in part
        ]
        other = [v.pick(flipped(4), x) for x in part]
        found = []
        for r in ROWS:
            x = part[r], other[r], part[1 - r], other[1 - r]
            found.append(self.sum_of_four(list(zip(rows[r], x, strict=True))))
        return found

    def _graded(self, part):
        """Elements (a ^ c, b ^ c) of a part of a state, by vector and c."""
        v = self.v
        lanes = 0, 5, 2, 7
        return [
            [
                v.pick(flipped(lanes[c]), part[r ^ (c // 2)]) if c else part[r]
                for c in FLIPS
            ]
            for r in ROWS
        ]  # fmt: skip

    def coupled(self, state, u):
        """A layer, whose constants lie at u."""
        v = self.v
        re, im = (self._graded(part) for part in state)
        found: tuple[list[Any], list[Any]] = ([], [])
        for r in ROWS:
            sums = [None] * 4  # four short chains instead of two long ones: latency counts
            for c in FLIPS:
                at = v.offset(u, 64 * r + 16 * c)
                u_re, u_im = v.constants_at(at, 8), v.constants_at(v.offset(at, 8), 8)
                pairs = (u_re, re[r][c]), (u_im, im[r][c]), (u_re, im[r][c]), (u_im, re[r][c])
                sums = [
                    v.multiply(*pair) if total is None else v.fma(*pair, total)
                    for pair, total in zip(pairs, sums, strict=True)
                ]
            found[0].append(v.subtract(sums[0], sums[1]))
            found[1].append(v.add(sums[2], sums[3]))
        return found

    def observed(self, state, o):
        """The observable, whose constants lie at o, on a state."""
        v = self.v
        return [
            [
                self.sum_of_four(
                    [(v.constants_at(v.offset(o, 32 * r + 8 * c), 8), x[c]) for c in FLIPS]
                )
                for r, x in zip(ROWS, self._graded(part), strict=True)
            ]
            for part in state
        ]

    def overlap(self, left, right):
        """The real part of the product of two states."""
        v, total = self.v, None
        for part, other in zip(left, right, strict=True):
            for x, y in zip(part, other, strict=True):
                total = v.multiply(x, y) if total is None else v.fma(x, y, total)
        return v.total(total)

    def add_torques(self, totals, after, state):
        """Add ``sum_rest lambda_i psi_{i ^ c}``: five sums of the first pair, three more."""
        v = self.v
        t = [v.value(total) for total in totals]
        for (l0, l1), (p0, p1) in zip(after, state, strict=True):
            s0, s1 = (v.pick(flipped(4), p) for p in (p0, p1))
            t[0], t[1] = v.fma(l0, s0, t[0]), v.fma(l1, s1, t[1])
            t[2] = v.fma(v.negative(l1), p0, v.fma(l0, p1, t[2]))
            t[3], t[4] = v.fma(l0, s1, t[3]), v.fma(l1, s0, t[4])
            for c in (1, 2, 3):
                for left, p in ((l0, p0), (l1, p1)):
                    t[4 + c] = v.fma(left, v.pick(flipped(c), p), t[4 + c])
        for total, value in zip(totals, t, strict=True):
            v.assign(value, total)

    def torques(self, t):
        """x, y and z of the torques on the four spins, from the sums of `add_torques`.

        Two antisymmetric elements p and q of a pair give ``2 (p - q)`` and ``-2 (p + q)``; those
        of c = 2 come with -q.
        """
        v = self.v

        def of_halves(x):
            x = v.add(x, v.pick(flipped(2), x))
            return v.add(x, v.pick(flipped(1), x))

        def difference(lanes, others, x, y=None):
            return v.subtract(v.pick(lanes, x, y), v.pick(others, x, y))

        one, two = of_halves(t[0]), of_halves(t[1])
        both = of_halves(t[2]), of_halves(v.subtract(t[3], v.pick(flipped(4), t[4])))
        first = [difference([0, 8], [4, 12], one, two), *(v.pick([0, 4], x) for x in both)]
        lanes = [v.add(v.pick(range(4), x), v.pick(range(4, 8), x)) for x in t[5:]]
        orders = ([0, 2], [1, 3]), ([0, 1], [2, 3]), ([0, 1], [3, 2])
        second = [difference(*order, x) for order, x in zip(orders, lanes, strict=True)]
        found = []
        for axis, (x, y) in enumerate(zip(first, second, strict=True)):
            sides = v.multiply(v.numbers([2.0, -2.0] * 2), v.pick([0, 0, 2, 2], x, y))
            factor = v.numbers([2.0 if axis == 1 else -2.0] * 4)
            found.append(v.fma(factor, v.pick([1, 1, 3, 3], x, y), sides))
        return found

    def gradient(self, vectors, cosine, sinc, torques):
        """Derivatives by the vectors: ``J(v)^T t``, see `kernel._turn_torques`."""
        v, (x, y, z), (tx, ty, tz) = self.v, vectors, torques
        square = self.square(vectors)
        a, d = v.multiply(sinc, cosine), v.multiply(sinc, sinc)
        b = v.each(partial(_second, v.builder), square, a)
        along = v.multiply(b, v.fma(z, tz, v.fma(y, ty, v.multiply(x, tx))))
        across = (
            v.subtract(v.multiply(p, r), v.multiply(q, s))
            for p, r, q, s in ((y, tz, z, ty), (z, tx, x, tz), (x, ty, y, tx))
        )
        return [
            v.fma(v.negative(d), turn, v.fma(along, p, v.multiply(a, t)))
            for turn, p, t in zip(across, vectors, torques, strict=True)
        ]

    def write_forces(self, forces, gradient, weights, n_atoms):
        """``F_i = -sum_s weight_si dE/dv_s``."""
        v, builder = self.v, self.v.builder
        pulls = [v.negative(g) for g in gradient]
        with cgutils.for_range(builder, n_atoms) as loop:
            of_atom = builder.add(weights, builder.mul(loop.index, ir.Constant(n_atoms.type, 4)))
            row = v.constants_at(of_atom, 4)
            first = builder.mul(loop.index, ir.Constant(n_atoms.type, 3))
            for axis, pull in enumerate(pulls):
                v.put(v.total(v.multiply(row, pull)), forces, v.offset(first, axis))

    def load_state(self, at):
        unit = self.v.unit
        return [
            [self.v.load(self.v.offset(at, (16 * part + 8 * r) * unit), 8) for r in ROWS]
            for part in range(2)
        ]

    def store_state(self, state, at):
        unit = self.v.unit
        for part, rows in enumerate(state):
            for r, x in zip(ROWS, rows, strict=True):
                self.v.store(x, self.v.offset(at, (16 * part + 8 * r) * unit))

    def initial(self, at):
        return [
            [self.v.constants_at(self.v.offset(at, 16 * part + 8 * r), 8) for r in ROWS]
            for part in range(2)
        ]

    def first_state(self, rotations, initial, states):
        """Write the encoded first state."""
        turn = self.coefficients(rotations, transposed=False)
        self.store_state(self.turned(turn, self.initial(initial)), states)

    def forward(self, rotations, n_layers, u, states):
        """All states from the first one."""
        v, builder = self.v, self.v.builder
        turn = self.coefficients(rotations, transposed=False)
        now = [[v.variable(x) for x in part] for part in self.load_state(states)]
        with cgutils.for_range(builder, n_layers) as loop:
            at = builder.add(u, builder.mul(loop.index, ir.Constant(u.type, LAYER)))
            state = self.turned(turn, self.coupled(self._values(now), at))
            self._assign(state, now)
            behind = builder.add(loop.index, ir.Constant(u.type, 1))
            self.store_state(state, self.place(states, behind))

    def backward(self, rotations, after, n_layers, u, states):
        """All adjoint states from the last one; returns the sums of `add_torques`."""
        v, builder = self.v, self.v.builder
        turn = self.coefficients(rotations, transposed=True)
        now = [[v.variable(x) for x in part] for part in after]
        totals = [v.variable(v.numbers([0.0] * 8)) for _ in range(8)]
        self.add_torques(totals, after, self.load_state(self.place(states, n_layers)))
        with cgutils.for_range(builder, n_layers) as loop:
            before = self.before(n_layers, loop.index)
            at = builder.add(u, builder.mul(before, ir.Constant(u.type, LAYER)))
            after = self.coupled(self.turned(turn, self._values(now)), at)
            self._assign(after, now)
            self.add_torques(totals, after, self.load_state(self.place(states, before)))
        return [v.value(total) for total in totals]

    def on_the_way_back(self, layers, adjoints):
        """The constants that `backward` takes."""
        return adjoints

    def before(self, n_layers, index):
        """The layer of a step on the way back."""
        builder = self.v.builder
        return builder.sub(n_layers, builder.add(index, ir.Constant(index.type, 1)))

    def place(self, states, index):
        """The place of a state."""
        size = ir.Constant(index.type, self.stride * self.v.unit)
        return self.v.builder.add(states, self.v.builder.mul(index, size))

    def _values(self, variables):
        return [[self.v.value(x) for x in part] for part in variables]

    def _assign(self, state, variables):
        for part, places in zip(state, variables, strict=True):
            for x, place in zip(part, places, strict=True):
                self.v.assign(x, place)


def _second(builder, square, a):
    """``(1 - a) / r^2``, smooth at 0."""
    near = builder.fcmp_ordered("<=", square, constant(square, 1e-6))
    safe = builder.select(near, constant(square, 1.0), square)
    series = builder.fsub(
        constant(square, 2 / 3), builder.fmul(constant(square, 2 / 15), square)
    )  # fmt: skip
    far = builder.fdiv(builder.fsub(constant(square, 1.0), a), safe)
    return builder.select(near, series, far)
