"""Export to OpenMM-JAX: StableHLO programs for the `JaxForce` of `openmmjax` [1]_.

===========================  ===================================================
`card.json`                  species, units, signatures, test vectors, SHA-256
`forces.mlir`                (n_atoms, 3) -> forces (n_atoms, 3)
`energy.mlir`                (n_atoms, 3) -> energy ()
`energy_and_forces.mlir`     (n_atoms, 3) -> energy (), forces (n_atoms, 3)
===========================  ===================================================

Units are OpenMM's: nm, kJ/mol, kJ/mol/nm. `JaxForce` (0.1.4) runs on CUDA and passes float32, so
the programs are lowered for CUDA, and take and return float32. Inside they compute in float64.

References
----------
.. [1] https://github.com/mitkotak/openmm-jax
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.export import export as jax_export

from qmd import units
from qmd.export.card import card, zipped
from qmd.export.program import export_settings
from qmd.potentials import Package

UNITS = {"length": "nm", "energy": "kJ/mol", "forces": "kJ/mol/nm"}
PLATFORMS = ("cuda",)


def encode(package: Package) -> bytes:
    """Return the zip; deterministic."""
    n = len(package.species)
    signature = {
        "forces.mlir": f"float32[{n},3] -> forces float32[{n},3]",
        "energy.mlir": f"float32[{n},3] -> energy float32[]",
        "energy_and_forces.mlir": f"float32[{n},3] -> (energy float32[], forces float32[{n},3])",
    }
    data_sheet = card(package, "openmm-jax", UNITS, signature, PLATFORMS)
    return zipped(_programs(package), "card.json", data_sheet)


def _programs(package: Package) -> dict[str, bytes]:
    with export_settings():
        potential = package.potential()

        def forces(positions: Array) -> Array:
            return energy_and_forces(positions)[1]

        def energy(positions: Array) -> Array:
            return _kilojoules(potential.energy(_angstrom(positions)))

        def energy_and_forces(positions: Array) -> tuple[Array, Array]:
            energy, forces = potential.energy_and_forces(_angstrom(positions))
            return _kilojoules(energy), _kilojoules(forces * units.nm)

        positions = jax.ShapeDtypeStruct((len(package.species), 3), "float32")
        programs = {}
        for function in (forces, energy, energy_and_forces):
            exported = jax_export(jax.jit(function), platforms=PLATFORMS)(positions)
            programs[f"{function.__name__}.mlir"] = exported.mlir_module().encode()
        return programs


def _angstrom(positions: Array) -> Array:
    return positions.astype(jnp.float64) * units.nm


def _kilojoules(values: Array) -> Array:
    return (values / units.kJ_per_mol).astype(jnp.float32)
