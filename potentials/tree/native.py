"""Packing of a tree of potentials into the arrays that the native kernels interpret."""

from typing import Any

import numpy as np

from qmd.integrators import Force

from ..contract import check_bytes
from ..families import family_of
from ..family import Leaf
from .nodes import Committee, ManyBody, Model, OnAtoms, PerAtomSum, Scaled, Sum, Switched
from .walk import Switch, Term, flatten


def native_model(model: Model, threads: int = 1) -> Force:
    """Return the native kernel of any tree.

    Parameters
    ----------
    model : Model
    threads : int
        Number of threads that share the work of those leaves whose family can; the bits are the
        same.

    Raises
    ------
    ValueError
        If parameters do not fit, or if a part has no native form.
    """
    model.check()
    match model:
        case OnAtoms() | Switched() | Scaled() | Sum() | Committee() | ManyBody() | PerAtomSum():
            return _pack(model.n_atoms, flatten(model), threads)
        case _:
            return _leaf_kernel(model, threads)


def _leaf_kernel(leaf: Leaf, threads: int) -> Force:
    family = family_of(leaf)
    if family.native is None:
        raise ValueError(f"A leaf of kind {family.kind} has no native kernel. Use the JAX backend.")
    if threads > 1 and family.in_threads is not None:
        return family.in_threads(leaf, threads)
    return family.native(leaf)


def _pack(n_atoms: int, terms: list[Term], threads: int) -> Force:
    """Pack head, table, lists of atoms and programs; local arrays, switches and workspaces."""
    from . import kernel as layout

    # Molecules of one kind share a leaf, and so can share its arrays.
    shared = {id(term.leaf): term.leaf for term in terms}
    integers: list[np.ndarray] = [np.zeros(layout.HEAD + layout.RECORD * len(terms), np.int64)]
    numbers: list[np.ndarray] = [np.zeros(6 * n_atoms + 9)]
    lists: list[Any] = []
    functions, places, periodic = {}, {}, all(term.switch is None for term in terms)
    for key, leaf in shared.items():
        own = _leaf_kernel(leaf, threads)
        periodic = periodic and own.periodic
        lists += [(sum(map(len, integers)) + word, held) for word, held in own.lists]
        functions[key] = own.function.address
        places[key] = *append(integers, own.program), *append(numbers, own.workspace)
        check_bytes(8 * sum(map(len, numbers)))
    factors = {
        factor: append(numbers, np.array([factor]))[0]
        for factor in dict.fromkeys(term.factor for term in terms)
        if factor != 1
    }
    program = integers[0]
    program[: layout.HEAD] = n_atoms, len(terms), 0, 3 * n_atoms, 6 * n_atoms
    for i, term in enumerate(terms):
        atoms, _ = append(integers, np.array(term.atoms, np.int64))
        record = program[layout.HEAD + layout.RECORD * i : layout.HEAD + layout.RECORD * (i + 1)]
        record[layout.FUNCTION], record[layout.ATOMS] = functions[id(term.leaf)], atoms
        record[layout.N_TERM_ATOMS] = term.leaf.n_atoms
        record[layout.PROGRAM : layout.WORKSPACE_END + 1] = places[id(term.leaf)]
        record[layout.SWITCH_I : layout.SWITCH + 1] = switch_record(term.switch, numbers)
        record[layout.FACTOR] = factors.get(term.factor, layout.NO_FACTOR)
    arrays = np.concatenate(integers), np.concatenate(numbers)
    return Force(layout.energy_and_forces(), *arrays, periodic, tuple(lists))


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
