"""Compare forces with energy differences, and the interpreters of a model with each other."""

import numpy as np

from qmd.audit.findings import AuditContext, Finding, Verdict, finding_within, random_rotations
from qmd.circuits.instances import CircuitInstance, circuits
from qmd.typing import Array, EnergyAndForces

STEP_A = 1e-3
N_DIFFERENCES = 4
"""Number of geometries whose forces are compared with differences."""
DIFFERENCE_LIMIT = 1e-7
"""Limit in eV/angstrom, or relative to larger forces. Error of the stencil: h^6/140 times a
seventh derivative; the sharpest model here, random vector densities on a water dimer, shows 2e-10.
Rounding: 1e-14 eV / h = 1e-11. A model with wrong connections is off by far more."""


def audit_forces(context: AuditContext) -> list[Finding]:
    """Compare forces with seven-point central differences of the energy."""
    n, n_atoms = min(N_DIFFERENCES, len(context.positions)), context.positions.shape[1]
    x, forces = context.positions[:n], context.forces[:n]
    unit = STEP_A * np.eye(3 * n_atoms).reshape(-1, n_atoms, 3)
    steps = np.array([-3.0, -2.0, -1.0, 1.0, 2.0, 3.0])
    moved = x[:, None, None] + steps[:, None, None] * unit[:, None]
    energies, _ = context.evaluate(moved.reshape(-1, n_atoms, 3))
    weights = np.array([-1.0, 9.0, -45.0, 45.0, -9.0, 1.0]) / (60 * STEP_A)
    slopes = energies.reshape(n, 3 * n_atoms, len(steps)) @ weights
    error = np.abs(forces.reshape(n, -1) + slopes).max()
    limit = DIFFERENCE_LIMIT * max(1.0, float(np.abs(forces).max()))
    remark = f"{n} geometries, h = {STEP_A:g} A"
    return [finding_within("forces against differences", float(error), limit, "eV/A", remark)]


def audit_eager(context: AuditContext) -> list[Finding]:
    """Compare compiled with eager JAX, at one geometry."""
    return _compared(context, "jit against eager", _eager(context), 1)


def audit_native(context: AuditContext) -> list[Finding]:
    """Compare the native kernel with JAX; skipped for a model that has no kernel."""
    try:
        native = _native(context)
    except ValueError as error:
        return [Finding("native against JAX", None, None, "", Verdict.SKIPPED, str(error))]
    return _compared(context, "native against JAX", native, len(context.positions))


def audit_pennylane(context: AuditContext) -> list[Finding]:
    """Compare PennyLane with JAX, for each circuit at one geometry."""
    return [f for part in circuits(context.package) for f in _pennylane(context, part)]


def _compared(context: AuditContext, name: str, evaluate: EnergyAndForces, n: int) -> list[Finding]:
    results = [evaluate(x) for x in context.positions[:n]]
    energies, forces = (np.array(part) for part in zip(*results, strict=True))
    remark = f"{n} geometr{'y' if n == 1 else 'ies'}"
    return [
        finding_within(
            f"{name}: energy", np.abs(energies - context.energies[:n]).max(),
            context.energy_limit, "eV", remark,
        ),
        finding_within(
            f"{name}: forces", np.abs(forces - context.forces[:n]).max(), context.force_limit,
            "eV/A", remark,
        ),
    ]  # fmt: skip


def _eager(context: AuditContext) -> EnergyAndForces:
    import jax.numpy as jnp

    potential = context.package.potential()

    def evaluate(x: Array) -> tuple[float, Array]:
        energy, forces = potential.energy_and_forces(jnp.asarray(x))
        return float(energy), np.asarray(forces)

    return evaluate


def _native(context: AuditContext) -> EnergyAndForces:
    from qmd.potentials import evaluate

    kernel = context.package.native()
    return lambda x: evaluate(kernel, x)


def _pennylane(context: AuditContext, part: CircuitInstance) -> list[Finding]:
    """Compare PennyLane with JAX for one circuit of the model, on its own atoms.

    The atoms are rotated first: the polar angles of the reference have no derivative along the z
    axis, on which molecules are often placed.
    """
    import jax

    from qmd.potentials import jax_model

    turn = random_rotations(context.rng, 1)[0]
    x = context.positions[0, list(part.atoms)] @ turn
    energy, forces = part.form.energy_and_forces(x)
    program = jax.jit(jax.value_and_grad(lambda r: jax_model.energy(part.model, r)))
    energy_jax, gradient = program(x)
    name, remark = "PennyLane against JAX", f"circuit {part.name}, 1 geometry"
    error = abs(energy - float(energy_jax))
    force_error = np.abs(forces + np.asarray(gradient)).max()
    return [
        finding_within(f"{name}: energy", error, context.energy_limit, "eV", remark),
        finding_within(f"{name}: forces", force_error, context.force_limit, "eV/A", remark),
    ]
