"""Networks of nequip-allegro, as `tests/nequip_allegro.py` stores them, in our form."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from qmd.potentials.allegro.allegro import Allegro, AllegroParameters

FILE = Path(__file__).parents[1] / "potentials" / "allegro" / "nequip_allegro.npz"
PLAIN = ("cutoff", "power", "n_average", "l_max", "parity", "n_layers", "n_scalars", "n_tensors")


def stored() -> dict[str, dict]:
    """Return each case: its form, parameters, geometry and results, by name."""
    with np.load(FILE) as file:
        forms = json.loads(bytes(file["forms"]))
        cases = {name: {"form": form} for name, form in forms.items()}
        for key in file:
            name, _, rest = key.partition("/")
            if rest:
                cases[name][rest] = file[key]
    return cases


def network(case: Mapping) -> Allegro:
    """Return our network with the parameters of a case."""
    form = case["form"]
    arrays = {
        key.removeprefix("parameters/model.func."): value
        for key, value in case.items()
        if key.startswith("parameters/")
    }

    def chained(prefix: str) -> np.ndarray:
        """Return the matrices of a perceptron, in its order, as one vector."""
        keys = sorted(key for key in arrays if key.startswith(f"{prefix}.mlp."))
        return np.concatenate([arrays[key].ravel() for key in keys])

    embedding, layers = "radial_chemical_embed.type_embed", range(form["n_layers"])
    parameters = AllegroParameters(
        elements=np.stack(
            [arrays[f"{embedding}.{side}_embed.weight"] for side in ("center", "neighbor")]
        ),
        radial=arrays[f"{embedding}.basis_linear.mlp.0.weight"],
        two_body=chained("scalar_embed_mlp.mlp_module"),
        tensors=arrays["tensor_embed.env_embed_linear.mlp.0.weight"],
        environment=arrays["allegro.first_layer_env_embed_projection.mlp.0.weight"],
        products=np.concatenate([arrays[f"allegro.tps.{i}.weights"] for i in layers], axis=1),
        latents=np.concatenate([chained(f"allegro.latents.{i}") for i in layers]),
        readout=chained("edge_readout.mlp_module"),
        scales=np.array(form["scales"], float),
        offsets=np.array(form["offsets"], float),
    )
    return Allegro(
        kinds=tuple(form["elements"].index(symbol) for symbol in form["species"]),
        **{key: form[key] for key in PLAIN},
        two_body=tuple(form["two_body"]),
        latent=tuple(form["latent"]),
        readout=tuple(form["readout"]),
        n_features=1,
        hidden=(),
        parameters=parameters,
    )
