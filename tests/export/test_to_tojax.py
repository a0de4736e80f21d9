"""The zip of tojax: graphs of molecules, whole and cut by the cell, without `qmd`."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from exports import geometries, native, run_alone, water

from qmd.export.formats import Format, export

# As in `TojaxedMliap.call` of kUPS: leaves in the order of the program, cast to its types.
KUPS = """\
import zipfile
import jax, numpy as np
from jax import export
jax.config.update("jax_enable_x64", True)
with zipfile.ZipFile("water.zip") as archive:
    model = export.deserialize(archive.read("model.jax"))
    assert archive.read("params.msgpack") == b"\\x90"  # [] in MessagePack

def call(graph):
    leaves = model.in_tree.flatten_up_to((([], graph), {}))
    types = [argument.dtype for argument in model.in_avals]
    arguments, options = model.in_tree.unflatten(map(jax.lax.convert_element_type, leaves, types))
    return model.call(*arguments, **options)

def total(pos, cell):
    return jax.numpy.nansum(call({**graph, "pos": pos, "cell": cell}))

graph = dict(np.load("graph.npz"))
pos, cell = jax.grad(total, argnums=(0, 1))(graph["pos"], graph["cell"])
np.savez("results.npz", energies=call(graph), pos=pos, cell=cell)
"""
CELL = np.array([[7.0, 0, 0], [1.3, 8.0, 0], [-0.4, 0.9, 9.0]])
WATER = [8, 1, 1]


def graph_of(molecules: list[np.ndarray], numbers: list[list[int]]) -> dict[str, np.ndarray]:
    """A periodic graph with one system a molecule, and one atom and one system of filling."""
    n = len(molecules)
    sizes = [len(molecule) for molecule in molecules]
    return {
        "pos": np.concatenate([*molecules, np.zeros((1, 3))]),
        "atomic_numbers": np.array([z for molecule in numbers for z in molecule] + [0]),
        "cell": np.concatenate([np.tile(CELL, (n, 1, 1)), np.zeros((1, 3, 3))]),
        "pbc": np.ones((n + 1, 3), bool),
        "edge_index": np.zeros((2, 5), int),
        "cell_offsets": np.zeros((5, 3)),
        "batch": np.repeat(np.arange(n + 1), [*sizes, 1]),
        "charge": np.zeros(n + 1),
        "spin": np.zeros(n + 1),
    }


@pytest.fixture
def evaluate(tmp_path: Path):
    """Energies and gradients of a graph, in a fresh process."""
    export(water(), Format.TOJAX, tmp_path / "water.zip")

    def run(graph: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        np.savez(tmp_path / "graph.npz", **graph)
        run_alone(KUPS, tmp_path)
        with np.load(tmp_path / "results.npz") as found:
            return dict(found)

    return run


def test_molecules_are_made_whole_and_others_get_nan(evaluate, tmp_path: Path) -> None:
    package = water()
    positions = geometries(package, 4)
    energies, forces = native(package, positions)
    # At the corner of the cell, each atom is in the cell and the molecule in pieces.
    fractions = (positions[:3] + [[[-0.2, 0.1, 0.05]]]) @ np.linalg.inv(CELL)
    cut = (fractions - np.floor(fractions)) @ CELL
    assert np.ptp(cut, axis=1).max() > 5  # angstrom: pieces at opposite sides
    graph = graph_of(
        [*cut, positions[3], positions[0][[1, 0, 2]], positions[0][:2], np.zeros((4, 3))],
        [*[WATER] * 4, [1, 8, 1], [8, 1], [8, 1, 1, 1]],
    )
    found = evaluate(graph)
    np.testing.assert_allclose(found["energies"][:4], energies, rtol=0, atol=1e-10)
    np.testing.assert_array_equal(found["energies"][4:], [np.nan] * 3 + [0.0])
    np.testing.assert_allclose(found["pos"][:12].reshape(4, 3, 3), -forces, rtol=0, atol=1e-10)
    assert not found["pos"][12:].any()
    # A strain that takes positions and cell along changes a whole molecule only: the virial.
    images = np.einsum("sai,saj->sij", graph["pos"][:12].reshape(4, 3, 3), -forces)
    virial = images + np.einsum("ki,skj->sij", CELL, found["cell"][:4])
    expected = np.einsum("sai,saj->sij", positions, -forces)
    np.testing.assert_allclose(virial, expected, rtol=0, atol=1e-9)
    with zipfile.ZipFile(tmp_path / "water.zip") as archive:
        types = json.loads(archive.read("dtypes.json"))
        assert json.loads(archive.read("metadata.json"))["cutoff"] == package.domain.stop.max()
    assert types.keys() == graph.keys()
    assert {types[name] for name in ("pos", "cell", "cell_offsets")} == {"<f8"}
