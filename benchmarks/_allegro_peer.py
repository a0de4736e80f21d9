"""nequip-allegro as a peer of `allegro.py` in a process of its own: reads numbers, writes seconds.

It runs in the environment of the peer, so that it imports nothing of qmd. Usage, by `allegro.py`
only: ``python _allegro_peer.py FORM.json START.npz RESULT.npz eager|compiled``. A call gives
energies and forces of a batch of geometries whose neighbours have been found before. RESULT.npz
gets the parameters, and what the first call gives.
"""

import importlib.util
import json
import os
import sys
import time
import warnings
from importlib import metadata

os.environ.update({"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"})
sys.path.pop(0)  # allegro.py beside this file is not the package that is meant
PACKAGES = ("torch", "nequip", "nequip-allegro")


def main(form_file, start_file, result_file, mode):
    for package in ("torch", "nequip", "allegro"):
        if importlib.util.find_spec(package) is None:
            say(missing=f"{package} is not installed there")
            return
    warnings.simplefilter("ignore")
    import numpy as np
    import torch
    from nequip.utils.global_state import set_global_state

    torch.set_num_threads(1)
    set_global_state()
    with open(form_file) as file:
        form = json.load(file)
    data = batch(form, np.load(start_file))
    model = network(form, mode)
    begin = time.perf_counter()
    out = model(data.copy())
    first = time.perf_counter() - begin
    np.savez(
        result_file,
        energies=out["total_energy"].detach().numpy().reshape(-1),
        forces=out["forces"].detach().numpy(),
        **{f"parameters/{key}": value.detach().numpy() for key, value in model.named_parameters()},
    )
    versions = {package: metadata.version(package) for package in PACKAGES}
    edges = int(data["edge_index"].shape[1])
    say(ready=1, versions=versions, first_call_s=first, directed_pairs=edges)
    for line in sys.stdin:
        begin, busy = time.perf_counter(), time.process_time()
        for _ in range(int(line)):
            model(data.copy())
        say(seconds=time.perf_counter() - begin, cpu_seconds=time.process_time() - busy)


def batch(form, start):
    """Return the geometries, with their neighbours, as one batch."""
    import torch
    from ase import Atoms
    from nequip.data import AtomicDataDict, compute_neighborlist_, from_ase

    cell = start["cell"] if start["cell"].any() else None
    frames = []
    for positions in start["positions"]:
        atoms = Atoms(start["symbols"].tolist(), positions, cell=cell, pbc=cell is not None)
        data = from_ase(atoms)
        kinds = [form["elements"].index(symbol) for symbol in start["symbols"].tolist()]
        data["atom_types"] = torch.tensor(kinds)
        frames.append(compute_neighborlist_(data, r_max=form["cutoff"]))
    return AtomicDataDict.batched_from_list(frames)


def network(form, mode):
    """Return the network of nequip-allegro."""
    from allegro.model import AllegroModel

    def perceptron(prefix, widths):
        return {
            f"{prefix}_hidden_layers_depth": len(widths),
            f"{prefix}_hidden_layers_width": widths[0],
        }

    scales = {
        name: dict(zip(form["elements"], form[key], strict=True))
        for key, name in (
            ("scales", "per_type_energy_scales"),
            ("offsets", "per_type_energy_shifts"),
        )
        if form[key] is not None
    }
    return AllegroModel(
        seed=1,
        model_dtype=form["dtype"],
        compile_mode="compile" if mode == "compiled" else "eager",
        type_names=form["elements"],
        r_max=form["cutoff"],
        l_max=form["l_max"],
        parity=form["parity"],
        radial_chemical_embed={
            "_target_": "allegro.nn.TwoBodyBesselScalarEmbed",
            "num_bessels": form["n_radial"],
            "polynomial_cutoff_p": form["power"],
        },
        **perceptron("scalar_embed_mlp", form["two_body"]),
        num_layers=form["n_layers"],
        num_scalar_features=form["n_scalars"],
        num_tensor_features=form["n_tensors"],
        **perceptron("allegro_mlp", form["latent"]),
        **perceptron("readout_mlp", form["readout"]),
        avg_num_neighbors=form["n_average"],
        **scales,
    ).eval()


def say(**answer):
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
