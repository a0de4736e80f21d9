"""From a tree of potentials to the arrays that the native kernels interpret."""

import numpy as np

from ..circuit.architecture import Quantum
from ..circuit.native import native_kernel
from ..classical.molecular import (
    HarmonicAngles,
    HarmonicBonds,
    LennardJones,
    MorseBonds,
    PointCharges,
)
from ..classical.walls import ShortRangeWall, SphericalWall
from ..classical.water import WaterBaseline
from ..contract import NativeKernel, check_bytes
from ..family import Leaf
from ..network.network import AtomCentredNetwork
from ..network.perceptron import Perceptron
from ..polynomial.polynomial import InvariantPolynomial
from ..vqlm.vqlm import Vqlm
from .nodes import Model
from .walk import Switch, Term, flatten, leaves


def native_model(model: Model) -> NativeKernel:
    """Native kernel of any tree.

    Raises
    ------
    ValueError
        If parameters do not fit, or if a part has no native form.
    """
    model.check()
    if isinstance(model, Quantum):
        return native_kernel(model.architecture, model.parameters)
    if isinstance(model, AtomCentredNetwork):
        from ..network import native as centred_native

        return centred_native.native_kernel(model)
    if any(isinstance(leaf, Perceptron) for _, leaf in leaves(model)):
        raise ValueError("A perceptron has no native kernel. Use the JAX backend.")
    if isinstance(model, Vqlm):
        from ..vqlm import native as vqlm_native

        return vqlm_native.native_kernel(model)
    if isinstance(model, InvariantPolynomial):
        from ..polynomial import native as polynomial_native

        return polynomial_native.native_kernel(model)
    return _pack(model.n_atoms, flatten(model))


def _leaf_kernel(leaf: Leaf) -> NativeKernel:
    """Function, program and workspace of a leaf."""
    from ..classical import molecular_native as molecular
    from ..classical import native as classical

    match leaf:
        case Quantum() | AtomCentredNetwork() | Perceptron() | Vqlm() | InvariantPolynomial():
            return native_model(leaf)
        case WaterBaseline():
            function, arrays = classical.baseline_into, classical.baseline_arrays(leaf)
        case ShortRangeWall():
            function, arrays = classical.wall_into, classical.wall_arrays(leaf)
        case SphericalWall():
            function, arrays = classical.sphere_into, classical.sphere_arrays(leaf)
        case MorseBonds():
            function, arrays = molecular.morse_into, molecular.morse_arrays(leaf)
        case HarmonicBonds():
            function, arrays = molecular.bonds_into, molecular.bonds_arrays(leaf)
        case HarmonicAngles():
            function, arrays = molecular.angles_into, molecular.angles_arrays(leaf)
        case LennardJones():
            function, arrays = molecular.lennard_jones_into, molecular.lennard_jones_arrays(leaf)
        case PointCharges():
            function, arrays = molecular.charges_into, molecular.charges_arrays(leaf)
        case _:
            raise TypeError(type(leaf).__name__)
    return NativeKernel(function(), *arrays)


def _pack(n_atoms: int, terms: list[Term]) -> NativeKernel:
    """Head, table, lists of atoms and programs; local arrays, switches and workspaces."""
    from . import kernel as layout

    # Molecules of one kind share a leaf, and so can share its arrays.
    shared = {id(term.leaf): term.leaf for term in terms}
    integers: list[np.ndarray] = [np.zeros(layout.HEAD + layout.RECORD * len(terms), np.int64)]
    numbers: list[np.ndarray] = [np.zeros(6 * n_atoms)]
    functions, places = {}, {}
    for key, leaf in shared.items():
        own = _leaf_kernel(leaf)
        functions[key] = own.function.address
        places[key] = *append(integers, own.program), *append(numbers, own.workspace)
        check_bytes(8 * sum(map(len, numbers)))
    factors = {
        factor: append(numbers, np.array([factor]))[0]
        for factor in dict.fromkeys(term.factor for term in terms)
        if factor != 1
    }
    program = integers[0]
    program[: layout.HEAD] = n_atoms, len(terms), 0, 3 * n_atoms
    for i, term in enumerate(terms):
        atoms, _ = append(integers, np.array(term.atoms, np.int64))
        record = program[layout.HEAD + layout.RECORD * i : layout.HEAD + layout.RECORD * (i + 1)]
        record[layout.FUNCTION], record[layout.ATOMS] = functions[id(term.leaf)], atoms
        record[layout.N_TERM_ATOMS] = term.leaf.n_atoms
        record[layout.PROGRAM : layout.WORKSPACE_END + 1] = places[id(term.leaf)]
        record[layout.SWITCH_I : layout.SWITCH + 1] = switch_record(term.switch, numbers)
        record[layout.FACTOR] = factors.get(term.factor, layout.NO_FACTOR)
    return NativeKernel(
        layout.energy_and_forces(), np.concatenate(integers), np.concatenate(numbers)
    )


def append(parts: list[np.ndarray], part: np.ndarray) -> tuple[int, int]:
    """Append `part` to `parts`; return its begin and end once they are joined."""
    start = sum(map(len, parts))
    parts.append(part)
    return start, start + len(part)


def switch_record(switch: Switch | None, numbers: list[np.ndarray]) -> tuple[int, int, int]:
    """Append the range of a switch to `numbers`; return its two atoms and its place."""
    if switch is None:
        return -1, -1, 0
    start, _ = append(numbers, np.array([switch.inner, switch.outer]))
    return *switch.between, start
