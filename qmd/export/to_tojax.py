"""Export to the zip of `tojax` [1]_, which kUPS reads: energies of the systems of an atom graph.

=================  ===================================================================
`model.jax`        (parameters, graph) -> energies (S,), with its first derivative
`params.msgpack`   an empty list: the parameters are constants of the program
`dtypes.json`      types of the arrays of the graph
`metadata.json`    `cutoff` (angstrom), then the card
=================  ===================================================================

`tojax` itself translates PyTorch to JAX; only the format of its output is used here. The graph is
an `AtomGraphInput`: N atoms sorted by system, S systems, E edges. A system must be one molecule
with the atoms of the model in its order; in a periodic cell the molecule is made whole across the
boundaries and must be smaller than half the cell. Edges, charge and spin are not used. The energy
of other systems is NaN, and that of systems of atoms with number 0, which kUPS uses as padding,
is zero.

References
----------
.. [1] https://github.com/cusp-ai-oss/tojax, examples/mlff; kups.potential.mliap.tojax
"""

import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ase.data import atomic_numbers
from jax import Array
from jax.export import export as jax_export
from jax.export import symbolic_shape

from qmd.export.card import UNITS, card, zipped
from qmd.export.program import PLATFORMS, export_settings
from qmd.potentials import Package

Graph = dict[str, Any]
"""Arrays of an `AtomGraphInput`, by name."""

EMPTY_LIST = b"\x90"
"""Empty list in MessagePack."""


def encode(package: Package) -> bytes:
    """Return the zip; deterministic."""
    with export_settings():
        graph = _abstract_graph()
        exported = jax_export(jax.jit(_energies(package)), platforms=PLATFORMS)([], graph)
        model = bytes(exported.serialize(vjp_order=1))
    dtypes = {name: array.dtype.str for name, array in graph.items()}
    members = {
        "model.jax": model,
        "params.msgpack": EMPTY_LIST,
        "dtypes.json": json.dumps(dtypes, indent=1).encode(),
    }
    signature = {"model.jax": "([], AtomGraphInput) -> energies float64[S]"}
    cutoff = float(package.domain.stop.max())
    data_sheet = card(package, "tojax", UNITS, signature, PLATFORMS)
    return zipped(members, "metadata.json", {"cutoff": cutoff, **data_sheet})


def _abstract_graph() -> Graph:
    n, s, e = symbolic_shape("N, S, E")
    return {
        "pos": jax.ShapeDtypeStruct((n, 3), "float64"),
        "atomic_numbers": jax.ShapeDtypeStruct((n,), "int64"),
        "cell": jax.ShapeDtypeStruct((s, 3, 3), "float64"),
        "pbc": jax.ShapeDtypeStruct((s, 3), "bool"),
        "edge_index": jax.ShapeDtypeStruct((2, e), "int64"),
        "cell_offsets": jax.ShapeDtypeStruct((e, 3), "float64"),
        "batch": jax.ShapeDtypeStruct((n,), "int64"),
        "charge": jax.ShapeDtypeStruct((s,), "int64"),
        "spin": jax.ShapeDtypeStruct((s,), "int64"),
    }


def _energies(package: Package) -> Any:
    potential = package.potential()
    species = np.array([atomic_numbers[symbol] for symbol in package.species])
    stand_in = package.test_positions[0]

    def energies(parameters: list[Array], graph: Graph) -> Array:
        index, complete = _molecules(graph, len(species))
        numbers = graph["atomic_numbers"][index]
        served = complete & (numbers == species[None]).all(axis=1)
        padding = (numbers[:, 0] == 0) & ~served
        # The stand-in keeps derivatives finite where the result is discarded.
        molecules = jnp.where(served[:, None, None], graph["pos"][index], stand_in[None])
        whole = jax.vmap(_whole)(molecules, graph["cell"], graph["pbc"])
        return jnp.where(
            served, jax.vmap(potential.energy)(whole), jnp.where(padding, 0.0, jnp.nan)
        )

    return energies


def _molecules(graph: Graph, n_atoms: int) -> tuple[Array, Array]:
    """Return the atoms of each system, (S, n_atoms), and a mask of complete systems, (S,)."""
    batch = graph["batch"]
    systems = jnp.arange(graph["cell"].shape[0])[:, None]
    first = (batch[None] < systems).sum(axis=1, keepdims=True)
    index = jnp.minimum(first + np.arange(n_atoms)[None], batch.shape[0] - 1)
    counts = (batch[None] == systems).sum(axis=1)
    return index, (counts == n_atoms) & (batch[index] == systems).all(axis=1)


def _whole(positions: Array, cell: Array, pbc: Array) -> Array:
    """Move each atom to its image nearest to the first atom; vectors of the cell are rows."""
    normals = jnp.stack([jnp.cross(cell[(k + 1) % 3], cell[(k + 2) % 3]) for k in range(3)])
    volume = jnp.dot(cell[0], normals[0])
    arms = positions - positions[:1]
    fractions = arms @ normals.T / jnp.where(volume == 0, 1.0, volume)  # no cell: no images
    images = jnp.where(pbc[None], jnp.round(fractions), 0.0)
    return positions - jax.lax.stop_gradient(images) @ cell
