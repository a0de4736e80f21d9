"""From a tree of potentials to the arrays that the native kernels interpret."""

import numpy as np

from .classical import PairBaseline, ShortRangeWall, SphericalWall
from .native import NativeKernel, native_kernel
from .tree import Leaf, Model, Quantum, Switch, Term, flatten
from .vqlm import Vqlm


def native_model(model: Model) -> NativeKernel:
    """Native kernel of any tree.

    Raises
    ------
    ValueError
        If parameters do not fit, or if a part has no native form.
    """
    model.check()
    terms = flatten(model)
    if len(terms) == 1 and terms[0].switch is None and _in_order(terms[0]):
        return _leaf_kernel(terms[0].leaf)
    return _pack(model.n_atoms, terms)


def _in_order(term: Term) -> bool:
    return term.atoms == tuple(range(term.leaf.n_atoms))


def _leaf_kernel(leaf: Leaf) -> NativeKernel:
    match leaf:
        case Quantum():
            return native_kernel(leaf.architecture, leaf.parameters)
        case Vqlm():
            from . import vqlm_native  # compiled when first needed, for a quick start

            return vqlm_native.native_kernel(leaf)
        case PairBaseline():
            from . import classical_native

            return classical_native.baseline_kernel(leaf)
        case ShortRangeWall():
            from . import classical_native

            return classical_native.wall_kernel(leaf)
        case SphericalWall():
            from . import classical_native

            return classical_native.sphere_kernel(leaf)


def _pack(n_atoms: int, terms: list[Term]) -> NativeKernel:
    """Head, table, lists of atoms and programs; local arrays, switches and workspaces."""
    from . import compose_kernel as layout

    kinds = {
        Quantum: layout.QUANTUM,
        Vqlm: layout.VQLM,
        PairBaseline: layout.BASELINE,
        ShortRangeWall: layout.WALL,
        SphericalWall: layout.SPHERE,
    }
    # Molecules of one kind share a leaf, and so can share its arrays.
    shared = {id(term.leaf): term.leaf for term in terms}
    kernels = {key: _leaf_kernel(leaf) for key, leaf in shared.items()}
    integers: list[np.ndarray] = [np.zeros(layout.HEAD + layout.RECORD * len(terms), np.int64)]
    numbers: list[np.ndarray] = [np.zeros(6 * n_atoms)]
    places = {
        key: (*_append(integers, part.program), *_append(numbers, part.workspace))
        for key, part in kernels.items()
    }
    program = integers[0]
    program[: layout.HEAD] = n_atoms, len(terms), 0, 3 * n_atoms
    for i, term in enumerate(terms):
        atoms, _ = _append(integers, np.array(term.atoms, np.int64))
        record = program[layout.HEAD + layout.RECORD * i : layout.HEAD + layout.RECORD * (i + 1)]
        record[layout.KIND], record[layout.ATOMS] = kinds[type(term.leaf)], atoms
        record[layout.N_TERM_ATOMS] = term.leaf.n_atoms
        record[layout.PROGRAM : layout.WORKSPACE_END + 1] = places[id(term.leaf)]
        record[layout.SWITCH_I : layout.SWITCH + 1] = _switch_record(term.switch, numbers)
    return NativeKernel(layout.energy_and_forces, np.concatenate(integers), np.concatenate(numbers))


def _append(parts: list[np.ndarray], part: np.ndarray) -> tuple[int, int]:
    start = sum(map(len, parts))
    parts.append(part)
    return start, start + len(part)


def _switch_record(switch: Switch | None, numbers: list[np.ndarray]) -> tuple[int, int, int]:
    if switch is None:
        return -1, -1, 0
    start, _ = _append(numbers, np.array([switch.inner, switch.outer]))
    return *switch.between, start
