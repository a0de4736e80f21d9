"""Series of runs that nobody ran."""

from pathlib import Path
from typing import Any

import numpy as np

from qmd.analysis.series import Log, Series


def made(positions, velocities, times_ps, **changes: Any) -> Series:
    """Return a run that nobody ran: one H2, or what `changes` give; numbers as given."""
    n = len(times_ps)
    integrator = {"kind": "velocity_verlet", "timestep_fs": 0.5} | changes.pop("integrator", {})
    record = {
        "input": {"integrator": integrator, "confinement": None},
        "integrator": {
            "conserves_energy": integrator["kind"] == "velocity_verlet",
            "target_temperature_K": integrator.get("temperature_K"),
            "damping_per_ps": integrator.get("friction_per_ps"),
        },
        "degrees_of_freedom": 3,
    }
    zeros = np.zeros(n)
    values = dict(
        folder=Path(), name="made", species=("H", "H"), masses=np.full(2, 1.008),
        bonds=((0, 1),), times_ps=times_ps, positions=positions, velocities=velocities,
        forces=np.zeros_like(positions), potential=zeros, kinetic=zeros,
        log=Log(times_ps, zeros, zeros + 0.1, zeros + 300.0, 0.0), record=record,
    )  # fmt: skip
    return Series(**(values | changes))
