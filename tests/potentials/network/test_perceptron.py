"""Perceptrons, the control of networks: symmetries, locality and their inputs of rank two."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from qmd.potentials import atom_centred, jax_model, perceptron
from qmd.potentials.families import trained_arrays
from qmd.potentials.network.jax_energy import _invariants
from qmd.potentials.package.json_form import model_from_json, model_sha256, model_to_json

METHANOL = ("C", "O", "H", "H", "H", "H")
POSITIONS = np.array(
    [[0, 0, 0], [1.42, 0, 0], [1.75, 0.9, 0], [-0.4, 1, 0.1], [-0.4, -0.5, 0.9], [-0.4, -0.5, -0.9]]
)


def centred(n_tensors: int) -> perceptron.Perceptron:
    return perceptron.centred(
        METHANOL,
        1,
        n_vectors=2,
        n_scalars=2,
        n_tensors=n_tensors,
        n_hidden=3,
        n_radial=4,
        cutoff=3.0,
    )


@pytest.mark.parametrize("n_tensors", [0, 2])
def test_its_symmetries_are_exact(n_tensors):
    model = centred(n_tensors)
    model.check()
    turned = -POSITIONS @ Rotation.random(random_state=3).as_matrix().T + [1.0, -2.0, 0.5]
    exchanged = POSITIONS[[0, 1, 3, 2, 5, 4]]
    x = jnp.asarray(np.stack([POSITIONS, turned, exchanged]))
    energy, *others = jax.jit(jax.vmap(lambda y: jax_model.energy(model, y)))(x)
    # Some hundred roundings of energies below 1 eV.
    np.testing.assert_allclose(others, energy, rtol=0, atol=1e-13)


def test_the_invariants_are_those_of_matrices():
    rng = np.random.default_rng(4)
    vectors = rng.standard_normal((1, 2, 3))
    components = rng.standard_normal((2, 5))
    found = _invariants(jnp.asarray(vectors), jnp.asarray(components[None]))
    q = np.array([
        [[xx, xy, xz], [xy, yy, yz], [xz, yz, -xx - yy]] for xx, yy, xy, xz, yz in components
    ])  # fmt: skip
    v, w = vectors[0]
    expected = [
        [a @ m @ b for m in q for a, b in ((v, v), (v, w), (w, w))],
        [np.trace(q[i] @ q[j]) for i, j in ((0, 0), (0, 1), (1, 1))],
        [np.trace(q[i] @ q[j] @ q[k]) for i, j, k in ((0, 0, 0), (0, 0, 1), (0, 1, 1), (1, 1, 1))],
    ]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one[0], other, rtol=0, atol=1e-13)
    assert perceptron.n_invariants(2, 0, 2) == 3 + sum(map(len, expected))


@pytest.mark.parametrize(
    "make",
    [
        lambda two: centred(2 if two else 0),
        lambda two: atom_centred.revised(
            METHANOL, 1, n_qubits=2, n_layers=1, n_radial=4, rank=2 if two else 1
        ),
    ],
    ids=["perceptron", "network"],
)
def test_packages_have_tensors_only_where_the_model_has(make):
    for two in (False, True):
        model = make(two)
        arrays = trained_arrays(model)
        assert ("tensors" in arrays) == two
        again = model_from_json(model_to_json(model), arrays)
        assert model_sha256(again) == model_sha256(model)
        assert trained_arrays(again).keys() == arrays.keys()
