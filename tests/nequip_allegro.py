"""Energies, forces and stresses of nequip-allegro, as vectors for `potentials/allegro`.

It runs in an environment of its own, in which nothing of qmd is installed:

    python -m venv PEER
    PEER/bin/pip install "torch==2.13.0" nequip==0.19.1 nequip-allegro==0.8.3
    PEER/bin/python tests/nequip_allegro.py

The file that it writes, tests/potentials/allegro/nequip_allegro.npz, has for each case the form of
the network, its parameters by their names there, a geometry, and what nequip-allegro says of it in
double and in single precision. test_parity.py holds our network with these parameters to them.
"""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np

FILE = Path(__file__).parent / "potentials" / "allegro" / "nequip_allegro.npz"
VERSIONS = {"nequip": "0.19.1", "nequip-allegro": "0.8.3"}
ELEMENTS = ["C", "H", "O"]
METHANOL = [[0.05, 0.66, 0], [-0.03, -0.76, 0.02], [-1.08, 0.98, 0], [0.49, 1.06, 0.89],
            [0.44, 1.07, -0.89], [0.90, -1.05, 0.1]]  # fmt: skip
CELL = [[4.1, 0.0, 0.0], [0.7, 3.9, 0.0], [-0.5, 0.6, 4.3]]
CASES = {
    "molecule": {
        "species": ["C", "O", "H", "H", "H", "H"], "positions": METHANOL, "cell": None,
        "cutoff": 4.0, "power": 6.0, "n_average": 4.5, "l_max": 2, "parity": True, "n_layers": 3,
        "n_scalars": 8, "n_tensors": 4, "two_body": [10, 9], "latent": [12], "readout": [7],
    },
    "cell": {
        "species": ["C", "O", "H", "H"], "cell": CELL, "cutoff": 3.6, "power": 4.3,
        "n_average": 11.0, "l_max": 3, "parity": True, "n_layers": 2,
        "n_scalars": 6, "n_tensors": 3, "two_body": [8], "latent": [8, 9], "readout": [],
    },
    "natural parity": {
        "species": ["O", "H", "C", "H"], "cell": CELL, "cutoff": 3.6, "power": 6.9,
        "n_average": 11.0, "l_max": 1, "parity": False, "n_layers": 1,
        "n_scalars": 4, "n_tensors": 5, "two_body": [], "latent": [], "readout": [6],
    },
}  # fmt: skip
"""The form of each network, by the names of `potentials.allegro.allegro.Allegro`. All hidden layers
of a perceptron have one width there: only the first is meant where they differ."""

SCALES = {"molecule": [0.001, 0.0005, 0.0015], "cell": [1.3, 0.7, 1.1], "natural parity": [2, 3, 1]}
"""Factors of the energies of the atoms, eV: energies and forces are of the order of 1."""


def main():
    found = {name: version(name) for name in VERSIONS}
    if found != VERSIONS:
        raise SystemExit(f"needs {VERSIONS}, but found {found}")
    from nequip.utils.global_state import set_global_state

    set_global_state()
    arrays, forms = {}, {}
    for seed, (name, case) in enumerate(CASES.items()):
        form = case | {"elements": ELEMENTS, "scales": SCALES[name], "offsets": [-1.0, 0.2, 2.0]}
        for key in ("two_body", "latent", "readout"):
            form[key] = form[key][:1] * len(form[key])
        rng = np.random.default_rng(seed)
        positions = form.pop("positions", None)
        if positions is None:
            positions = rng.uniform(size=(len(form["species"]), 3)) @ np.array(CELL)
        model = built(form, seed, "float64")
        results = evaluated(model, form, positions)
        state = dict(model.named_parameters())
        single = built(form, seed, "float32")
        single.load_state_dict(model.state_dict())
        found = evaluated(single, form, positions)
        results |= {f"{key}_float32": value for key, value in found.items()}
        arrays |= {f"{name}/parameters/{key}": state[key].detach().numpy() for key in state}
        arrays |= {f"{name}/{key}": value for key, value in results.items()}
        arrays[f"{name}/positions"] = np.array(positions)
        forms[name] = form
    arrays["forms"] = np.frombuffer(json.dumps(forms).encode(), np.uint8)
    np.savez_compressed(FILE, **arrays)
    print(f"{FILE}: {FILE.stat().st_size} bytes")


def built(form, seed, dtype):
    """Return the network of nequip-allegro."""
    from allegro.model import AllegroModel

    def perceptron(prefix, widths):
        return {
            f"{prefix}_hidden_layers_depth": len(widths),
            f"{prefix}_hidden_layers_width": (widths or [1])[0],
        }

    return AllegroModel(
        seed=seed,
        model_dtype=dtype,
        type_names=form["elements"],
        r_max=form["cutoff"],
        l_max=form["l_max"],
        parity=form["parity"],
        radial_chemical_embed={
            "_target_": "allegro.nn.TwoBodyBesselScalarEmbed",
            "num_bessels": 8,
            "polynomial_cutoff_p": form["power"],
        },
        **perceptron("scalar_embed_mlp", form["two_body"]),
        num_layers=form["n_layers"],
        num_scalar_features=form["n_scalars"],
        num_tensor_features=form["n_tensors"],
        **perceptron("allegro_mlp", form["latent"]),
        **perceptron("readout_mlp", form["readout"]),
        avg_num_neighbors=form["n_average"],
        per_type_energy_scales=dict(zip(form["elements"], form["scales"], strict=True)),
        per_type_energy_shifts=dict(zip(form["elements"], form["offsets"], strict=True)),
    ).eval()


def evaluated(model, form, positions):
    """Return energy (eV), forces (eV/A) and, in a cell, stress (eV/A^3)."""
    import torch
    from ase import Atoms
    from nequip.data import compute_neighborlist_, from_ase

    atoms = Atoms(form["species"], positions, cell=form["cell"], pbc=form["cell"] is not None)
    data = from_ase(atoms)
    kinds = [form["elements"].index(symbol) for symbol in form["species"]]
    data["atom_types"] = torch.tensor(kinds)
    data = compute_neighborlist_(data, r_max=form["cutoff"])
    out = model(data)
    results = {"energy": out["total_energy"], "forces": out["forces"]}
    if form["cell"] is not None:
        results["stress"] = out["stress"][0]
    return {key: value.detach().numpy().astype(float) for key, value in results.items()}


if __name__ == "__main__":
    main()
