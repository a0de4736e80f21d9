"""Packing of perceptrons into the arrays that `list_kernel` and `perceptron_kernel` interpret."""

import numpy as np

from qmd.integrators import Force

from ..simd.vectors import padded
from . import kernel
from . import perceptron_kernel as layout
from .lanes import LANES
from .list_native import Centres, force_on_lists
from .perceptron import Perceptron, PerceptronParameters, n_invariants

Array = np.ndarray


def native_kernel(model: Perceptron, threads: int = 1) -> Force:
    """Return the native kernel of a perceptron, for isolated atoms and for cells.

    Parameters
    ----------
    model : Perceptron
    threads : int
        Number of threads that share the centres; see `list_parallel`.

    Raises
    ------
    ValueError
        If the parameters do not fit, or the workspace would be too large.
    """
    model.check()
    return force_on_lists(model.kinds, _centres(model), None, threads)


def _centres(model: Perceptron) -> Centres:
    """Return what the kernel on lists has to know of a perceptron."""
    p = model.parameters
    vectors, scalars, tensors = sizes = _sizes(p)
    k, hidden = p.last.shape
    parts = padded(vectors), padded(scalars), padded(tensors)
    inputs = n_invariants(*sizes)
    program = np.zeros(layout.FOUR_KINDS + LANES, np.int64)
    values = {
        kernel.N_ATOMS: LANES,
        kernel.N_VECTORS: parts[0],
        kernel.N_SCALARS: parts[1],
        kernel.N_TENSORS: parts[2],
        kernel.KINDS: layout.FOUR_KINDS,
        layout.VECTORS: vectors,
        layout.SCALARS: scalars,
        layout.TENSORS: tensors,
        layout.INPUTS: inputs,
        layout.HIDDEN: hidden,
    }
    program[list(values)] = list(values.values())
    constants = {
        kernel.OFFSETS: p.offsets,
        layout.FIRST: p.first,
        layout.FIRST_BIAS: p.first_bias,
        layout.SECOND: p.second,
        layout.SECOND_BIAS: p.second_bias,
        layout.LAST: p.last,
    }
    return Centres(
        first=model.first,
        cutoff=model.cutoff,
        coefficients=_coefficients(p, parts),
        parts=parts,
        start=np.zeros((k, parts[1])),
        function=layout.perceptrons().address,
        program=program,
        constants={word: np.asarray(array).ravel() for word, array in constants.items()},
        scratch={
            layout.INPUT: inputs,
            layout.INPUT_SLOPES: inputs,
            layout.UNITS: 2 * hidden,
            layout.UNIT_SLOPES: 2 * hidden,
            layout.MATRICES: 9 * tensors,
            layout.MATRIX_SLOPES: 9 * tensors,
        },
    )


def _sizes(p: PerceptronParameters) -> tuple[int, int, int]:
    tensors = 0 if p.tensors is None else p.tensors.shape[2]
    return p.vectors.shape[2], p.scalars.shape[2], tensors


def _coefficients(p: PerceptronParameters, parts: tuple[int, int, int]) -> Array:
    """Return the radial coefficients of all parts, functions last, filled up with zeros."""
    k, _, _, g = p.vectors.shape
    found = np.zeros((k, k, g, sum(parts)))
    begin = 0
    for array, size in zip((p.vectors, p.scalars, p.tensors), parts, strict=True):
        if array is not None:
            found[..., begin : begin + array.shape[2]] = np.swapaxes(array, -1, -2)
        begin += size
    return found
