"""Forces against differences of energies, and the interpreters of a model against each other."""

import numpy as np

from qmd.audit.findings import AuditContext, Finding, Verdict, finding_within, random_rotations
from qmd.circuits.instances import CircuitInstance, circuits
from qmd.typing import Array, EnergyAndForces

STEP_A = 1e-3
N_DIFFERENCES = 4
"""Geometries whose forces are compared with differences."""
DIFFERENCE_LIMIT = 1e-7
"""eV/angstrom, or relative to larger forces. Error of the stencil: h^6/140 times a seventh
derivative; the sharpest model here, random vector densities on a water dimer, shows 2e-10.
Rounding: 1e-14 eV / h = 1e-11. A model that is wired wrongly is off by far more."""


def audit_forces(subject: AuditContext) -> list[Finding]:
    """Forces against seven-point central differences of the energy; their sum and their torque."""
    n, n_atoms = min(N_DIFFERENCES, len(subject.positions)), subject.positions.shape[1]
    x, forces = subject.positions[:n], subject.forces[:n]
    unit = STEP_A * np.eye(3 * n_atoms).reshape(-1, n_atoms, 3)
    steps = np.array([-3.0, -2.0, -1.0, 1.0, 2.0, 3.0])
    moved = x[:, None, None] + steps[:, None, None] * unit[:, None]
    energies, _ = subject.evaluate(moved.reshape(-1, n_atoms, 3))
    weights = np.array([-1.0, 9.0, -45.0, 45.0, -9.0, 1.0]) / (60 * STEP_A)
    slopes = energies.reshape(n, 3 * n_atoms, len(steps)) @ weights
    error = np.abs(forces.reshape(n, -1) + slopes).max()
    limit = DIFFERENCE_LIMIT * max(1.0, float(np.abs(forces).max()))
    remark = f"{n} geometries, h = {STEP_A:g} A"
    return [finding_within("forces against differences", float(error), limit, "eV/A", remark)]


def audit_interpreters(subject: AuditContext) -> list[Finding]:
    """JAX compiled against eager, the native kernel and PennyLane against JAX."""
    found = _compared(subject, "jit against eager", _eager(subject), 1)
    try:
        native = _native(subject)
    except ValueError as error:
        found.append(Finding("native against JAX", None, None, "", Verdict.SKIPPED, str(error)))
    else:
        found += _compared(subject, "native against JAX", native, len(subject.positions))
    for part in circuits(subject.package):
        found += _pennylane(subject, part)
    return found


def _compared(subject: AuditContext, name: str, evaluate: EnergyAndForces, n: int) -> list[Finding]:
    results = [evaluate(x) for x in subject.positions[:n]]
    energies, forces = (np.array(part) for part in zip(*results, strict=True))
    remark = f"{n} geometr{'y' if n == 1 else 'ies'}"
    return [
        finding_within(
            f"{name}: energy", np.abs(energies - subject.energies[:n]).max(),
            subject.energy_limit, "eV", remark,
        ),
        finding_within(
            f"{name}: forces", np.abs(forces - subject.forces[:n]).max(), subject.force_limit,
            "eV/A", remark,
        ),
    ]  # fmt: skip


def _eager(subject: AuditContext) -> EnergyAndForces:
    import jax.numpy as jnp

    potential = subject.package.potential()

    def evaluate(x: Array) -> tuple[float, Array]:
        energy, forces = potential.energy_and_forces(jnp.asarray(x))
        return float(energy), np.asarray(forces)

    return evaluate


def _native(subject: AuditContext) -> EnergyAndForces:
    from qmd.potentials import evaluate

    kernel = subject.package.native()
    return lambda x: evaluate(kernel, x)


def _pennylane(subject: AuditContext, part: CircuitInstance) -> list[Finding]:
    """One circuit of the model by PennyLane and by JAX, on its own atoms.

    They are turned first: the polar angles of the reference have no derivative along the z axis,
    on which molecules are often laid.
    """
    import jax

    from qmd.potentials import jax_model

    turn = random_rotations(subject.rng, 1)[0]
    x = subject.positions[0, list(part.atoms)] @ turn
    energy, forces = part.form.energy_and_forces(x)
    program = jax.jit(jax.value_and_grad(lambda r: jax_model.energy(part.model, r)))
    energy_jax, gradient = program(x)
    name, remark = "PennyLane against JAX", f"circuit {part.name}, 1 geometry"
    error = abs(energy - float(energy_jax))
    force_error = np.abs(forces + np.asarray(gradient)).max()
    return [
        finding_within(f"{name}: energy", error, subject.energy_limit, "eV", remark),
        finding_within(f"{name}: forces", force_error, subject.force_limit, "eV/A", remark),
    ]
