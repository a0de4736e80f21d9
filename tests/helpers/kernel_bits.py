"""What native kernels compute, to compare vectors of one width with those of another.

As a program, ``python kernel_bits.py FILE.npz``, it writes the results of its own width.
"""

import sys
from typing import Any

import numpy as np

from qmd.integrators import VECTOR_WIDTH, evaluate, evaluate_virial
from qmd.potentials import cell_gradient, native_model, perceptron
from qmd.potentials.models import atom_centred
from qmd.potentials.network.native import NetworkGradient

CELL = np.array([[6.1, 0.0, 0.0], [0.7, 5.9, 0.0], [-0.5, 0.6, 6.3]])
N_ATOMS = 13
"""Three fours and one, or an eight and five: groups that are full and that are not."""
SPECIES = tuple("OHHOHHOHHOHHO")
CUTOFF = 3.6
KINDS: dict[str, dict[str, Any]] = {"one": {}, "two": {"rank": 2}}


def networks() -> dict[str, Any]:
    """Networks of both ranks, and a perceptron."""
    size = {"n_qubits": 4, "n_layers": 2, "n_radial": 5, "cutoff": CUTOFF}
    models: dict[str, Any] = {
        f"rank {name}": atom_centred.revised(SPECIES, 1, **size, **settings)
        for name, settings in KINDS.items()
    }
    sizes = {"n_vectors": 3, "n_scalars": 2, "n_hidden": 4, "n_radial": 5, "n_tensors": 2}
    models["perceptron"] = perceptron.centred(SPECIES, 1, **sizes, cutoff=CUTOFF)
    return models


def results() -> dict[str, np.ndarray]:
    """Energies, forces, virials, and derivatives by parameters, by their names."""
    rng = np.random.default_rng(3)
    positions = np.asarray(rng.uniform(size=(N_ATOMS, 3)) @ CELL)
    found: dict[str, Any] = {"width": VECTOR_WIDTH}
    for name, model in networks().items():
        force = native_model(model)
        isolated, in_cell = evaluate(force, positions), evaluate_virial(force, positions, CELL)
        parts = dict(zip(("energy", "forces", "virial"), in_cell, strict=True))
        found |= {f"{name}, {part}, cell": value for part, value in parts.items()}
        found |= {f"{name}, energy": isolated[0], f"{name}, forces": isolated[1]}
        if not name.startswith("rank"):
            continue
        found[f"{name}, rows"] = NetworkGradient(model).rows(positions[None])
        gradient = cell_gradient(model)
        here = gradient.evaluate(gradient.surroundings(positions, CELL))
        found[f"{name}, derivatives"] = gradient.gradient(here, 0.3, positions)
    return {name: np.asarray(value) for name, value in found.items()}


if __name__ == "__main__":
    np.savez(sys.argv[1], **results())
