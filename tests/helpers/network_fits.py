"""A small network and labelled frames, for tests of training."""

import numpy as np

from qmd.potentials import atom_centred, evaluate_all, native_model
from qmd.train import problem as training

NETWORK = atom_centred.revised(
    ("O", "H", "H"), 1, elements=("H", "O"), n_qubits=2, n_layers=1, n_radial=4, cutoff=3.0
)


PEROXIDE = NETWORK.on((1, 1, 0, 0))


def frames_of(model, n: int, seed: int) -> training.Frames:
    """Labels by the same network with other numbers, so that they can be met."""
    rng = np.random.default_rng(seed)
    other = atom_centred.revised(
        ("O", "H", "H"), 7, elements=("H", "O"), n_qubits=2, n_layers=1, n_radial=4, cutoff=3.0
    ).on(model.kinds)
    shape = np.array([[0, 0, 0], [1.45, 0, 0], [-0.3, 0.9, 0], [1.7, 0.3, 0.9]])
    if model.n_atoms == 3:
        shape = np.array([[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
    x = shape + 0.05 * rng.standard_normal((n, *shape.shape))
    return training.Frames(x, *evaluate_all(native_model(other), x))
