"""Our Allegro with the parameters of nequip-allegro's has its energies, forces and stresses."""

from functools import cache
from typing import Any

import jax
import numpy as np
import pytest
from nequip_parameters import network, stored

from qmd.integrators import neighbour_pairs
from qmd.potentials import ModelPotential, compiled, compiled_in_cell, jax_model

CASES = stored()
DOUBLE, SINGLE = 1e-10, 1e-5
"""Asked; energies (eV), forces (eV/A) and stresses (eV/A^3) are of the order of 1, and are sums of
some hundred terms: their rounding is 1e-14 and 1e-5."""


@cache
def found(name: str) -> dict[str, Any]:
    case = CASES[name]
    model, x = network(case), case["positions"]
    if case["form"]["cell"] is None:
        alone = compiled(ModelPotential(model))(x)
        return {"energy": alone[0], "forces": alone[1]}
    cell = np.array(case["form"]["cell"])
    energy, forces, virial = compiled_in_cell(model)(x, cell)
    return {"energy": energy, "forces": forces, "stress": -virial / np.linalg.det(cell)}


@pytest.mark.parametrize("name", CASES)
def test_double_precision(name: str) -> None:
    for key, value in found(name).items():
        np.testing.assert_allclose(value, np.squeeze(CASES[name][key]), rtol=0, atol=DOUBLE)


@pytest.mark.parametrize("name", CASES)
def test_single_precision(name: str) -> None:
    case = CASES[name]
    with jax.enable_x64(False):
        model = jax.tree.map(lambda a: np.asarray(a, np.float32), network(case))
        x = case["positions"].astype(np.float32)
        if case["form"]["cell"] is None:
            of = jax.jit(jax.value_and_grad(lambda x: jax_model.energy(model, x)))
        else:
            cell = np.array(case["form"]["cell"], np.float32)
            i, j, shifts = neighbour_pairs(x.astype(float), cell.astype(float), model.cutoff)
            pairs = i, j, shifts.astype(np.float32)
            of = jax.jit(
                jax.value_and_grad(lambda x: jax_model.energy_in_cell(model, x, cell, pairs))
            )
        energy, slopes = of(x)
    assert slopes.dtype == np.float32
    # Both round: they are compared with the value of double precision as well.
    for value, key in ((energy, "energy"), (-slopes, "forces")):
        for wanted in (case[key], case[f"{key}_float32"]):
            np.testing.assert_allclose(value, np.squeeze(wanted), rtol=0, atol=SINGLE)
