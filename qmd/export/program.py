"""JAX programs of a potential, exported."""

from collections.abc import Iterator
from contextlib import contextmanager

import jax
from jax import Array
from jax.export import export as jax_export
from jax.export import symbolic_shape

from qmd.potentials import Package

PLATFORMS = ("cpu", "cuda")
"""Platforms of the programs, without TPU: circuits need complex128, which it lacks."""


@contextmanager
def export_settings() -> Iterator[None]:
    """Use double precision, and omit the paths of source files from programs.

    All lowering must happen inside, also `Exported.serialize(vjp_order=1)`.
    """
    option = "jax_traceback_in_locations_limit"
    before = getattr(jax.config, option)
    jax.config.update(option, 0)
    try:
        with jax.enable_x64(True):
            yield
    finally:
        jax.config.update(option, before)


def single(package: Package) -> bytes:
    """Serialise ``(n_atoms, 3) -> energy (), forces (n_atoms, 3)``, float64, ASE's units."""
    return _program(package, f"{len(package.species)}, 3")


def batch(package: Package) -> bytes:
    """Serialise ``(b, n_atoms, 3) -> energies (b,), forces (b, n_atoms, 3)`` for any b > 0."""
    return _program(package, f"b, {len(package.species)}, 3")


def _program(package: Package, shape: str) -> bytes:
    with export_settings():
        potential, dimensions = package.potential(), symbolic_shape(shape)

        def energy_and_forces(positions: Array) -> tuple[Array, Array]:
            return potential.energy_and_forces(positions)

        function = energy_and_forces if len(dimensions) == 2 else jax.vmap(energy_and_forces)
        positions = jax.ShapeDtypeStruct(dimensions, "float64")
        return bytes(jax_export(jax.jit(function), platforms=PLATFORMS)(positions).serialize())
