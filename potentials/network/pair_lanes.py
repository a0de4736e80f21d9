"""Pair gates and observables of rank two on lanes; see `pair_gates` for their definition.

The four amplitudes of two qubits are split into the singlet ``s = b - c`` and the triplets
``x = d - a``, ``y = -i (a + d)``, ``z = b + c``, all times root 2. A symmetric matrix lies as xx,
yy, zz, xy, xz, yz, the five components of a traceless one as xx, yy, xy, xz, yz.
"""
# mypy: allow-untyped-defs, allow-untyped-calls
# Numba and LLVM carry the types here.

from numba import types
from numba.extending import intrinsic

from ..simd.vectors import block_of
from .lanes import LANES, Arithmetic, nothing

UNITARY = 12 * LANES
"""Numbers of a symmetric unitary: the real parts of its six elements, then the imaginary parts."""
COMPONENTS = 5 * LANES
"""Numbers of the components of a traceless matrix."""
ROWS = ((0, 3, 4), (3, 1, 5), (4, 5, 2))
"""Elements of a symmetric matrix, row by row."""


class _Pairs(Arithmetic):
    """Arithmetic on the amplitudes of two qubits."""

    def split(self, amplitudes):
        """Singlet and triplets of (00, 01, 10, 11)."""
        a, b, c, d = amplitudes
        re, im = self.add(a, d)
        return self.subtract(b, c), (
            self.subtract(d, a),
            (im, self.block.negative(re)),
            self.add(b, c),
        )

    def joined(self, singlet, triplets):
        """The inverse of `split`."""
        x, (re, im), z = triplets
        turned = self.block.negative(im), re  # i y
        twice = (
            self.subtract(turned, x), self.add(z, singlet),
            self.subtract(z, singlet), self.add(turned, x),
        )  # fmt: skip
        half = self.block.constant(0.5)
        return tuple(self.scale(half, amplitude) for amplitude in twice)

    def load_all(self, x, places):
        return tuple(self.load(x, at) for at in places)

    def store_all(self, amplitudes, x, places):
        for amplitude, at in zip(amplitudes, places, strict=True):
            self.store(amplitude, x, at)

    def unitary_at(self, u):
        return [
            (self.block.load(u, LANES * k), self.block.load(u, LANES * (6 + k))) for k in range(6)
        ]

    def traceless_at(self, q):
        """The six real elements of the traceless matrix of the components at q."""
        xx, yy, xy, xz, yz = (self.block.load(q, LANES * k) for k in range(5))
        return [xx, yy, self.block.negative(self.builder.fadd(xx, yy)), xy, xz, yz]

    def times_unitary(self, u, triplets):
        fma, negative = self.block.multiply_add, self.block.negative
        turned = []
        for row in ROWS:
            re = im = None
            for k, (a, b) in zip(row, triplets, strict=True):
                p, q = u[k]
                re = self.builder.fmul(p, a) if re is None else fma(p, a, re)
                re = fma(negative(q), b, re)
                im = self.builder.fmul(p, b) if im is None else fma(p, b, im)
                im = fma(q, a, im)
            turned.append((re, im))
        return turned

    def times_real(self, q, triplets):
        turned = []
        for row in ROWS:
            parts = []
            for part in range(2):
                total = self.builder.fmul(q[row[0]], triplets[0][part])
                for k, t in zip(row[1:], triplets[1:], strict=True):
                    total = self.block.multiply_add(q[k], t[part], total)
                parts.append(total)
            turned.append(tuple(parts))
        return turned

    def gate(self, factor, u, amplitudes):
        """Singlet times ``1 + 2 factor``, triplets times u; also returns both as they were."""
        singlet, triplets = self.split(amplitudes)
        two = self.block.constant(2.0)
        changed = self.add(singlet, self.scale(two, self.times(factor, singlet)))
        turned = self.times_unitary(u, triplets)
        return self.joined(changed, turned), singlet, triplets, turned

    def accumulate(self, total, terms):
        value = self.builder.load(total)
        for left, right in terms:
            value = self.block.multiply_add(left, right, value)
        self.builder.store(value, total)

    def add_totals(self, factors, totals, out):
        for k, (factor, total) in enumerate(zip(factors, totals, strict=True)):
            value = self.builder.fmul(self.block.constant(factor), self.builder.load(total))
            self.add_at(value, out, LANES * k)


@intrinsic
def prepare_unitary(typingctx, w, u):
    """From the components of Q at `u`: the unitary ``(1 + iQ) / (1 - iQ)`` there."""

    def codegen(context, builder, signature, args):
        pairs = _Pairs(block_of(context, builder, signature, args[0], LANES))
        u, fma, fmul = args[1], pairs.block.multiply_add, builder.fmul
        xx, yy, zz, xy, xz, yz = q = pairs.traceless_at(u)
        square = [
            fma(q[i[0]], q[j[0]], fma(q[i[1]], q[j[1]], fmul(q[i[2]], q[j[2]])))
            for i, j in (
                (ROWS[m], ROWS[n]) for m, n in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
            )
        ]
        trace = builder.fadd(square[0], builder.fadd(square[1], square[2]))
        one = fma(pairs.block.constant(0.5), trace, pairs.block.constant(1.0))

        def minor(a, b, c, d):
            return fma(a, b, pairs.block.negative(fmul(c, d)))

        determinant = fma(
            xx, minor(yy, zz, yz, yz),
            fma(xy, minor(yz, xz, xy, zz), fmul(xz, minor(xy, yz, yy, xz))),
        )  # fmt: skip
        size = fma(one, one, fmul(determinant, determinant))
        scale = builder.fdiv(pairs.block.constant(2.0), size)
        factor = fmul(scale, one), pairs.block.negative(fmul(scale, determinant))
        for k in range(6):
            real = builder.fsub(one, square[k]) if k < 3 else pairs.block.negative(square[k])
            re, im = pairs.times(factor, (real, q[k]))
            if k < 3:
                re = builder.fsub(re, pairs.block.constant(1.0))
            pairs.block.store(re, u, LANES * k)
            pairs.block.store(im, u, LANES * (6 + k))
        return context.get_dummy_value()

    return nothing(w, types.intp), codegen


@intrinsic
def turn_pair(typingctx, w, x, phase, u, high, low, size):
    """`lanes.exchange`, then the unitary at `u` on the triplets."""

    def codegen(context, builder, signature, args):
        pairs = _Pairs(block_of(context, builder, signature, args[0], LANES))
        x, phase, u, high, low, size = args[1:]
        factor = pairs.block.load(phase), pairs.block.load(phase, LANES)
        unitary = pairs.unitary_at(u)
        with pairs.quadruples(size, high, low) as places:
            amplitudes, *_ = pairs.gate(factor, unitary, pairs.load_all(x, places))
            pairs.store_all(amplitudes, x, places)
        return context.get_dummy_value()

    return nothing(w, *[types.intp] * 6), codegen


@intrinsic
def turn_pair_back(typingctx, w, psi, after, phase, u, high, low, size, of_phase, of_q):
    """Undo `turn_pair` on psi and `after`; adds the derivatives by J and by the components of Q.

    With sums of the triplets before and after the gate, those by the elements of Q are
    ``-Im (after + after')^* (psi + psi')``.
    """

    def codegen(context, builder, signature, args):
        pairs = _Pairs(block_of(context, builder, signature, args[0], LANES))
        psi, after, phase, u, high, low, size, of_phase, of_q = args[1:]
        negative = pairs.block.negative
        factor = pairs.block.load(phase), negative(pairs.block.load(phase, LANES))
        unitary = [(re, negative(im)) for re, im in pairs.unitary_at(u)]
        singlets, *totals = pairs.sums(6)
        with pairs.quadruples(size, high, low) as places:
            odd, sums = [], []
            for x in (psi, after):
                amplitudes, singlet, triplets, turned = pairs.gate(
                    factor, unitary, pairs.load_all(x, places)
                )
                pairs.store_all(amplitudes, x, places)
                odd.append(singlet)
                sums.append([pairs.add(t, v) for t, v in zip(triplets, turned, strict=True)])
            (re, im), (left_re, left_im) = odd
            pairs.accumulate(singlets, [(left_re, im), (negative(left_im), re)])
            right, left = sums

            def of(i, j, right=right, left=left):
                return [(left[i][0], right[j][1]), (negative(left[i][1]), right[j][0])]

            z = [(negative(a), b) for a, b in of(2, 2)]
            for total, terms in zip(
                totals,
                (of(0, 0) + z, of(1, 1) + z, of(0, 1) + of(1, 0), of(0, 2) + of(2, 0),
                 of(1, 2) + of(2, 1)),
                strict=True,
            ):  # fmt: skip
                pairs.accumulate(total, terms)
        pairs.add_totals([-4.0], [singlets], of_phase)
        pairs.add_totals([-0.5] * 5, totals, of_q)
        return context.get_dummy_value()

    return nothing(w, *[types.intp] * 9), codegen


@intrinsic
def observe_pair(typingctx, w, psi, after, weight, q, high, low, size, value, of_q):
    """`lanes.observe` with the weight and the components at `q`: ``sigma . Q . sigma`` is added.

    Adds ``<psi|sigma.sigma|psi> - 1`` at `value`, and the derivatives by the components at `of_q`.
    """

    def codegen(context, builder, signature, args):
        pairs = _Pairs(block_of(context, builder, signature, args[0], LANES))
        psi, after, weight, q, high, low, size, value, of_q = args[1:]
        negative = pairs.block.negative
        factor = builder.fmul(pairs.block.constant(-4.0), pairs.block.load(weight))
        minus_two = pairs.block.constant(-2.0)
        matrix = [builder.fmul(minus_two, part) for part in pairs.traceless_at(q)]
        singlets, *totals = pairs.sums(6)
        with pairs.quadruples(size, high, low) as places:
            singlet, triplets = pairs.split(pairs.load_all(psi, places))
            pairs.accumulate(singlets, [(part, part) for part in singlet])
            x, y, z = triplets
            minus_z = [negative(part) for part in z]
            of_z = list(zip(minus_z, z, strict=True))
            terms = [
                list(zip(left, right, strict=True))
                for left, right in ((x, x), (y, y), (x, y), (x, z), (y, z))
            ]
            terms[0] += of_z
            terms[1] += of_z
            for total, products in zip(totals, terms, strict=True):
                pairs.accumulate(total, products)
            change = pairs.joined(pairs.scale(factor, singlet), pairs.times_real(matrix, triplets))
            before = pairs.load_all(after, places)
            pairs.store_all(
                [pairs.add(a, b) for a, b in zip(before, change, strict=True)], after, places
            )
        pairs.add_totals([-2.0], [singlets], value)
        pairs.add_totals([-1.0, -1.0, -2.0, -2.0, -2.0], totals, of_q)
        return context.get_dummy_value()

    return nothing(w, *[types.intp] * 9), codegen
