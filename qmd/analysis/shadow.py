"""Shadow energy, which velocity Verlet conserves to fourth order in the time step."""

import numpy as np

from qmd.integrators import Force, State, evaluate_all, kinetic_energy

STEP = 1e-4
"""Step of the differences along the velocity, in time units of ASE."""


def shadow_energy(kernel: Force, state: State, masses: np.ndarray, dt: float) -> float:
    """Return the shadow energy (eV): ``H + dt^2 (v.U''.v / 12 - sum F^2/m / 24)``.

    Parameters
    ----------
    kernel : Force
    state : State
    masses : (n_atoms,)
        Masses, u.
    dt : float
        Time step, in time units of ASE.

    References
    ----------
    Hairer, Lubich, Wanner, Geometric Numerical Integration (2006), section IX.3, for the splitting
    B A B.
    """
    moved = np.array([state.positions + s * STEP * state.velocities for s in (1, -1)])
    _, forces = evaluate_all(kernel, moved)
    curvature = -((forces[0] - forces[1]) * state.velocities).sum() / (2 * STEP)
    squares = (state.forces**2 / masses[:, None]).sum()
    total = state.energy + kinetic_energy(state.velocities, masses)
    return float(total + dt**2 * (curvature / 12 - squares / 24))
