"""The algorithm of `two_pairs` on geometries side by side; both versions as functions of Numba."""
# mypy: allow-untyped-defs, allow-untyped-calls
# Numba and LLVM carry the types here.

from functools import partial
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..simd.geometries import Alone, Beside
from .two_pairs import FLIPS, LAYER, STATE, Steps


class StepsInMemory(Steps):
    """The same steps where an element is a register: states lie in memory, and little is at hand.

    The operations on an element, and their order, are those of `Steps`, but for products with
    constants that are zero. Behind the states, the scratch has room for what `SCRATCH` names.
    """

    stride = STATE + 1  # a power of two would make places of different states look alike

    def scratch(self, states, n_layers, name):
        """A place behind the states."""
        behind = self.place(states, self.v.offset(n_layers, 1))
        return self.v.offset(behind, SCRATCH[name] * self.v.unit)

    def get(self, at, i):
        """The element i of what lies at a place."""
        return self.v.load(self.v.offset(at, i * self.v.unit), 1)

    def put(self, value, at, i):
        """Write an element."""
        self.v.store(value, self.v.offset(at, i * self.v.unit))

    def first_state(self, rotations, initial, states):
        """Write the encoded first state; keep the rotations."""
        n_layers = self.n_layers
        at = self.scratch(states, n_layers, "rotations")
        for c in FLIPS:
            for i, element in enumerate(rotations[c]):
                self.put([element], at, 8 * c + i)
        start = self.scratch(states, n_layers, "other")
        for i in range(STATE):
            self.put(self.v.constants_at(self.v.offset(initial, i), 1), start, i)
        self.encode(start, states, states, transposed=False)

    def encode(self, source, target, states, *, transposed):
        """Both pairs of the state at a place, turned, to another."""
        self.encode_second(lambda a: self.row(source, a), states, transposed)
        self.encode_first(target, states, transposed)

    def row(self, at, a):
        """Parts and elements (a, b) of a state, for one a."""
        return [[self.get(at, 16 * part + 4 * a + b) for b in range(4)] for part in range(2)]

    def encode_second(self, row, states, transposed):
        """Turn the second pair of `row(a)`, a = 0..3; the results lie in the scratch."""
        at = self.scratch(states, self.n_layers, "rotations")
        to = self.scratch(states, self.n_layers, "between")
        for a in range(4):
            parts = row(a)
            for b in range(4):
                turn = [self.get(at, 8 * c + 4 + (b ^ c if transposed else b)) for c in FLIPS]
                for part, x in enumerate(parts):
                    total = self.sum_of_four([(turn[c], x[b ^ c]) for c in FLIPS])
                    self.put(total, to, 16 * part + 4 * a + b)

    def encode_first(self, target, states, transposed):
        """Turn the first pair of what `encode_second` left."""
        at = self.scratch(states, self.n_layers, "rotations")
        source = self.scratch(states, self.n_layers, "between")
        for b in range(4):
            x = [[self.get(source, 16 * p + 4 * a + b) for a in range(4)] for p in range(2)]
            for a in range(4):
                turn = [self.get(at, 8 * c + (a ^ c if transposed else a)) for c in FLIPS]
                for part in range(2):
                    total = self.sum_of_four([(turn[c], x[part][a ^ c]) for c in FLIPS])
                    self.put(total, target, 16 * part + 4 * a + b)

    def coupled_row(self, source, u, a, adjoint=False):
        """A layer, or its adjoint, on the state at a place: the results (a, b) for one a."""
        v = self.v
        found: tuple[list[Any], list[Any]] = ([], [])
        for b in range(4):
            sums = [None] * 4
            for c in flips_of(a, b):
                i = 4 * (a ^ c) + (b ^ c)
                re, im = self.get(source, i), self.get(source, 16 + i)
                p, q = (a ^ c, b ^ c) if adjoint else (a, b)
                at = v.offset(u, 64 * (p // 2) + 16 * c + 4 * (p % 2) + q)
                u_re, u_im = v.constants_at(at, 1), v.constants_at(v.offset(at, 8), 1)
                pairs = (u_re, re), (u_im, im), (u_re, im), (u_im, re)
                sums = [
                    v.multiply(*pair) if total is None else v.fma(*pair, total)
                    for pair, total in zip(pairs, sums, strict=True)
                ]
            re, im = (v.add, v.subtract) if adjoint else (v.subtract, v.add)
            found[0].append(re(*sums[:2]))
            found[1].append(im(*sums[2:]))
        return found

    def forward(self, rotations, n_layers, u, states):
        """All states from the first one."""
        builder = self.v.builder
        with cgutils.for_range(builder, n_layers) as loop:
            at = builder.add(u, builder.mul(loop.index, ir.Constant(u.type, LAYER)))
            source = self.place(states, loop.index)
            target = self.place(states, self.v.offset(loop.index, 1))
            self.encode_second(partial(self.coupled_row, source, at), states, False)
            self.encode_first(target, states, False)

    def backward(self, rotations, after, n_layers, u, states):
        """All adjoint states from the last one; returns the sums of `add_torques`."""
        builder = self.v.builder
        now = self.scratch(states, n_layers, "adjoint")
        turned = self.scratch(states, n_layers, "other")
        totals = self.scratch(states, n_layers, "totals")
        self.store_state(after, now)
        for i in range(64):
            self.put(self.v.numbers([0.0]), totals, i)
        self.torques_at(totals, now, self.place(states, n_layers))
        with cgutils.for_range(builder, n_layers) as loop:
            before = self.before(n_layers, loop.index)
            at = builder.add(u, builder.mul(before, ir.Constant(u.type, LAYER)))
            self.encode(now, turned, states, transposed=True)
            for a in range(4):
                for part, row in enumerate(self.coupled_row(turned, at, a, adjoint=True)):
                    for b, value in enumerate(row):
                        self.put(value, now, 16 * part + 4 * a + b)
            self.torques_at(totals, now, self.place(states, before))
        return [self.v.load(self.v.offset(totals, 8 * i * self.v.unit), 8) for i in range(8)]

    def on_the_way_back(self, layers, adjoints):
        """The constants that `backward` takes: fewer lines of the cache than with both."""
        return layers

    def torques_at(self, totals, after, state):
        """`add_torques` of states in memory."""
        for b in range(4):
            right = self._elements(state, [4 * a + b for a in range(4)])
            for t, half, products in _FIRST_PAIR:
                terms = [(4 * i + b, 4 * j + b, sign) for i, j, sign in products]
                self._accumulate(totals, 8 * t + 4 * half + b, after, right, terms)
        for half in range(2):
            rows = 4 * half, 8 + 4 * half
            right = self._elements(state, [row + b for row in rows for b in range(4)])
            for c in (1, 2, 3):
                for b in range(4):
                    terms = [(row + b, row + (b ^ c), 1) for row in rows]
                    self._accumulate(totals, 8 * (4 + c) + 4 * half + b, after, right, terms)

    def _elements(self, state, chosen):
        """Some elements of both parts of a state."""
        return [{i: self.get(state, 16 * part + i) for i in chosen} for part in range(2)]

    def _accumulate(self, totals, place, after, right, terms):
        """Add products of elements of the adjoint state, which few need again, and of `right`."""
        v, total = self.v, self.get(totals, place)
        for part in range(2):
            for i, j, sign in terms:
                x = self.get(after, 16 * part + i)
                total = v.fma(x if sign > 0 else v.negative(x), right[part][j], total)
        self.put(total, totals, place)


_STEP = StepsInMemory.stride
SCRATCH = {
    "adjoint": 0,
    "other": _STEP,
    "between": 2 * _STEP,
    "rotations": 3 * _STEP,
    "totals": 4 * _STEP,
}
"""Places behind the states, of several geometries side by side."""


def room(n_layers: int) -> int:
    """Numbers of the scratch of each geometry."""
    return (n_layers + 5) * _STEP + 64


_FIRST_PAIR = (
    (0, 0, ((0, 1, 1),)), (0, 1, ((1, 0, 1),)), (1, 0, ((2, 3, 1),)), (1, 1, ((3, 2, 1),)),
    (2, 0, ((0, 2, 1), (2, 0, -1))), (2, 1, ((1, 3, 1), (3, 1, -1))),
    (3, 0, ((0, 3, 1),)), (3, 1, ((1, 2, 1),)), (4, 0, ((2, 1, 1),)), (4, 1, ((3, 0, 1),)),
)  # fmt: skip
"""Sum, half, and products (a of the adjoint state, a of the state, sign) of `add_torques`."""


def flips_of(a: int, b: int) -> list[int]:
    """The c for which a layer joins (a, b) and (a ^ c, b ^ c), where all gates keep parity."""
    return [c for c in FLIPS if c in (0, a ^ b) or a == b]


def _emit(kernel, positions, forces, places, n_atoms, n_layers):
    """Write the forces; return the energy without offset."""
    weights, initial, u, adjoint, observable, states = places
    vectors = kernel.vectors(positions, weights, n_atoms)
    rotations, cosine, sinc = kernel.rotations(vectors)
    kernel.first_state(rotations, initial, states)
    kernel.forward(rotations, n_layers, u, states)
    state = kernel.load_state(kernel.place(states, n_layers))
    after = kernel.observed(state, observable)
    energy = kernel.overlap(after, state)
    sums = kernel.backward(rotations, after, n_layers, kernel.on_the_way_back(u, adjoint), states)
    gradient = kernel.gradient(vectors, cosine, sinc, kernel.torques(sums))
    kernel.write_forces(forces, gradient, weights, n_atoms)
    return energy


def _data(context, builder, signature, args, index):
    return context.make_array(signature.args[index])(context, builder, args[index]).data


def _alone(typingctx, positions, forces, w, places, n_atoms, n_layers):
    """Energy of one geometry without offset; writes the forces. Both arrays are contiguous.

    `places` are those of weights, first state, layers, their adjoints, observable and scratch.
    """

    def codegen(context, builder, signature, args):
        x, f, w = (_data(context, builder, signature, args, i) for i in range(3))
        places = cgutils.unpack_tuple(builder, args[3])
        return _emit(Steps(Alone(builder, w), args[5]), x, f, places, *args[4:])

    return types.float64(positions, forces, w, places, n_atoms, n_layers), codegen


def _beside(typingctx, positions, forces, energies, w, places, n_atoms, n_layers, width):
    """`alone` of `width` geometries, a literal; the last index of all arrays is the geometry."""
    if not isinstance(width, types.IntegerLiteral):
        return None

    def codegen(context, builder, signature, args):
        x, f, e, w = (_data(context, builder, signature, args, i) for i in range(4))
        places = cgutils.unpack_tuple(builder, args[4])
        v = Beside(builder, w, width.literal_value)
        energy = _emit(StepsInMemory(v, args[6]), x, f, places, *args[5:7])
        v.put(energy, e, ir.Constant(args[5].type, 0))
        return context.get_dummy_value()

    return (
        types.void(positions, forces, energies, w, places, n_atoms, n_layers, width),
        codegen,
    )


alone: Any = intrinsic(_alone)
"""Energy of one geometry without offset; writes the forces."""
beside: Any = intrinsic(_beside)
"""`alone` of several geometries side by side."""
