"""Effect of finite shots on the forces of a tree: the arrays that `kernel` interprets."""

import math
from dataclasses import replace

import numpy as np

from qmd.integrators import Force

from ..circuit import lowering, native
from ..circuit.architecture import Quantum
from ..circuit.layout import N_ENCODINGS, N_VECTORS, RECORD
from ..contract import check_bytes
from ..families import family_of
from ..tree.native import append, switch_record
from ..tree.nodes import Model
from ..tree.walk import flatten
from . import kernel as layout


def shot_covariance(model: Model, shots: float) -> Force:
    """Return the covariance of forces that are measured by parameter shift, as a function.

    The function has the signature of a force. It writes the covariance (eV^2/angstrom^2), of shape
    (3 n_atoms, 3 n_atoms), in place of the forces, and returns the variance of the energy (eV^2).

    Parameters
    ----------
    model : tree
        Model, whose classical terms are exact.
    shots : float
        Number of shots of each circuit: for every quarter turn, in each of three settings.

    Raises
    ------
    ValueError
        If `shots` is not positive, if there is no circuit, or if one is the generic circuit (VQLM),
        which is read out in another way.
    """
    if not 0 < shots < math.inf:
        raise ValueError(f"`shots` must be positive and finite, but shots={shots}.")
    model.check()
    terms = flatten(model)
    shared: dict[tuple[int, float], Quantum] = {}
    circuits = [
        (term, shared.setdefault((id(term.leaf), term.factor), _scaled(circuit, term.factor)))
        for term in terms
        if (circuit := family_of(term.leaf).measured(term.leaf)) is not None
    ]
    if not circuits:
        raise ValueError("The potential has no circuit: all its terms are exact.")
    n_atoms = model.n_atoms
    integers = [np.zeros(layout.HEAD + layout.TERM_RECORD * len(circuits), np.int64)]
    numbers = [np.zeros(6 * n_atoms), np.array([1 / shots])]
    program = integers[0]
    program[: layout.HEAD] = n_atoms, len(circuits), 0, 3 * n_atoms, 6 * n_atoms
    # Molecules of one kind share a leaf, and so can share its arrays.
    places = {}
    for leaf in {id(leaf): leaf for _, leaf in circuits}.values():
        own_program, own_workspace, base = _pack(leaf)
        places[id(leaf)] = *append(integers, own_program), *append(numbers, own_workspace), base
        check_bytes(8 * sum(map(len, numbers)))
    for i, (term, leaf) in enumerate(circuits):
        atoms, _ = append(integers, np.array(term.atoms, np.int64))
        start = layout.HEAD + layout.TERM_RECORD * i
        program[start : start + layout.TERM_RECORD] = (
            atoms, leaf.n_atoms, *places[id(leaf)], *switch_record(term.switch, numbers)
        )  # fmt: skip
    workspace = np.concatenate(numbers)
    return Force(layout.covariance_of_forces(), np.concatenate(integers), workspace)


def _scaled(leaf: Quantum, factor: float) -> Quantum:
    """Return a circuit whose head contains the factor of its term."""
    p = leaf.parameters
    return leaf if factor == 1 else replace(leaf, parameters=p._replace(weights=factor * p.weights))


def _pack(leaf: Quantum) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the arrays of one circuit, and the start of the places of `kernel` in its program."""
    program, workspace, lowered = native.packed(leaf.architecture, leaf.parameters)
    base, k = len(program), lowered.n_pairs
    head, numbers = np.zeros(layout.CIRCUIT_HEAD, np.int64), [workspace]

    def place(values: np.ndarray) -> int:
        return append(numbers, np.asarray(values, float).reshape(-1))[0]

    parts = lowering.settings(leaf.architecture, leaf.parameters)
    records = []
    for term in (term for setting in parts for term in setting):
        record = native.graded_record(term.constants[None].astype(complex), term.pairs, k, place)
        records.append((record[0], int(term.with_ancilla), *record[2:]))
    head[layout.SETTINGS], head[layout.N_PARTS] = base + layout.CIRCUIT_HEAD, len(parts[0])
    head[layout.GENERATORS] = place(np.swapaxes(lowering.GENERATORS, -1, -2))
    head[layout.VARIANCES] = place(np.zeros(3 * int(program[N_ENCODINGS] * program[N_VECTORS])))
    head[layout.MEANS] = place(np.zeros(2 * layout.N_SETTINGS))
    table = np.array(records, np.int64).reshape(-1, RECORD).ravel()
    return np.concatenate([program, head, table]), np.concatenate(numbers), base
