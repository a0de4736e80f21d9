"""Derivatives of the energy of a tree by all its trained parameters, on the native kernel.

Families with a compiled gradient are differentiated by it, the few numbers of others by JAX. Rows
are in the order in which JAX flattens the tree (`jax.flatten_util.ravel_pytree`).
"""

from typing import Any

import jax
import numpy as np
from jax.flatten_util import ravel_pytree

from ..families import family_of
from ..family import CellGradient, LeafGradient
from . import jax_energy as jax_model
from .nodes import Committee, ManyBody, Model, OnAtoms, PerAtomSum, Scaled, Sum, Switched
from .walk import leaves

Array = np.ndarray


class ParameterGradient:
    """Derivatives of the energy of `model` at any positions; may be used by several threads.

    Parameters
    ----------
    model : tree

    Raises
    ------
    ValueError
        If a circuit has no native form.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._of_leaf = {id(leaf): _gradient(leaf) for _, leaf in leaves(model)}

    def rows(self, positions: Array) -> Array:
        """Derivatives, (n, n_parameters), of the energies at `positions`, (n, n_atoms, 3)."""
        return self._rows(self._model, positions)

    def sum(self, positions: Array, factors: Array) -> Array:
        """``factors @ rows(positions)`` without the rows, (n_parameters,)."""
        return self._sum(self._model, positions, factors)

    def _rows(self, model: Model, x: Array) -> Array:
        match model:
            case OnAtoms():
                return self._rows(model.model, x[:, model.atoms])
            case Switched():
                return np.asarray(_switch(model, x)[:, None] * self._rows(model.model, x))
            case Scaled():
                return model.factor * self._rows(model.model, x)
            case Committee():
                parts = [self._rows(member, x) for member in model.members]
                return np.concatenate(parts, axis=1) / len(parts)
            case Sum():
                parts = [self._rows(term, x[:, : term.n_atoms]) for term in model.terms]
                return np.concatenate(parts, axis=1)
            case ManyBody():
                one = sum(self._rows(model.monomer, x[:, m]) for m in model.molecules)
                two = sum(self._rows(model.pair, x[:, p]) for p in model.pairs)
                return np.concatenate([one, two], axis=1)
            case PerAtomSum():
                each = enumerate(model.models)
                return np.concatenate([
                    np.sum([self._rows(one, x[:, order]) for order in model.of_kind(kind)], axis=0)
                    for kind, one in each
                ], axis=1)  # fmt: skip
            case _:
                return self._of_leaf[id(model)].rows(x)

    def _sum(self, model: Model, x: Array, factors: Array) -> Array:
        match model:
            case OnAtoms():
                return self._sum(model.model, x[:, model.atoms], factors)
            case Switched():
                return self._sum(model.model, x, factors * _switch(model, x))
            case Sum():
                parts = [self._sum(term, x[:, : term.n_atoms], factors) for term in model.terms]
                return np.concatenate(parts)
            case PerAtomSum():
                each = enumerate(model.models)
                return np.concatenate([
                    np.sum([self._sum(one, x[:, o], factors) for o in model.of_kind(kind)], axis=0)
                    for kind, one in each
                ])  # fmt: skip
            case Scaled() | Committee() | ManyBody():
                return np.asarray(factors @ self._rows(model, x))
            case _:
                return self._of_leaf[id(model)].sum(x, factors)


def cell_gradient(model: Model) -> CellGradient:
    """Return the compiled derivatives of a leaf in cells by its parameters.

    Raises
    ------
    ValueError
        If the model has none: a tree of several leaves, or a family without.
    """
    branches = Committee, ManyBody, OnAtoms, PerAtomSum, Scaled, Sum, Switched
    make = None if isinstance(model, branches) else family_of(model).gradient_in_cells
    if make is None:
        raise ValueError(f"A {type(model).__name__} has no compiled derivatives in cells.")
    return make(model)


def _switch(model: Switched, positions: Array) -> Array:
    i, j = model.between
    r = np.linalg.norm(positions[:, i] - positions[:, j], axis=1)
    t = np.clip((r - model.inner) / (model.outer - model.inner), 0.0, 1.0)
    return np.asarray(1 - t**3 * (10 - t * (15 - 6 * t)))


def _gradient(leaf: Model) -> LeafGradient:
    make = family_of(leaf).gradient
    return _JaxGradient(leaf) if make is None else make(leaf)


class _JaxGradient:
    """The gradient of a leaf of few numbers, or of none."""

    def __init__(self, leaf: Model) -> None:
        self._leaf = leaf

    def rows(self, positions: Array) -> Array:
        """Positions are padded, so that few sizes are compiled."""
        n = len(positions)
        padded = np.concatenate([positions, np.repeat(positions[-1:], -n % 64, axis=0)])
        return np.asarray(_jax_rows(self._leaf, padded))[:n]

    def sum(self, positions: Array, factors: Array) -> Array:
        return np.asarray(factors @ self.rows(positions))


@jax.jit
def _jax_rows(model: Any, positions: Any) -> Any:
    def row(x: Any) -> Any:
        return ravel_pytree(jax.grad(jax_model.energy)(model, x))[0]

    return jax.vmap(row)(positions)
