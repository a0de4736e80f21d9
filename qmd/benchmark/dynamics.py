"""Measures that are runs: energy conservation, and time to failure.

Every run is an ordinary one, in a folder of its own with its input: `qmd run` can resume it and
`qmd analyze` can analyse it. Initial states and noise are functions of the seed alone, so all
potentials have the same ones.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from qmd.analysis import series
from qmd.analysis.conservation import conservation
from qmd.analysis.series import Series
from qmd.benchmark.config import NVEConfig, StabilityConfig
from qmd.benchmark.geometries import Measured
from qmd.errors import NumericalError
from qmd.forces.config import PotentialConfig
from qmd.io import files
from qmd.jobs.stop import Reason
from qmd.run import session
from qmd.run.config import load_config

FRAME_FS = 10.0
"""Time between frames, which is the resolution of a failure."""
LOG_FS = 5.0
ShouldStop = Callable[[], Reason]
OnProgress = Callable[[int], None]


def nve(
    config: NVEConfig, potential: PotentialConfig, variation: dict[str, float], folder: Path,
    should_stop: ShouldStop, on_progress: OnProgress,
) -> Measured:  # fmt: skip
    """Measure the drift of a run at constant energy."""
    integrator = {"kind": "velocity_verlet", "timestep_fs": variation["timestep_fs"]}
    settings = _input(config, potential, config.temperature_K, integrator, variation)
    failure, run = _run(settings, folder, should_stop, on_progress)
    if run is None:
        return {"failed": failure, "length_ps": 0.0}
    if failure is not None:
        return {"failed": failure, "length_ps": float(run.log.times_ps[-1])}
    found = conservation(run)
    return {
        "length_ps": float(run.log.times_ps[-1]),
        "drift_meV_per_atom_ps": found.drift_meV_per_atom_ps,
        "drift_error_meV_per_atom_ps": found.drift_error_meV_per_atom_ps,
        "drift_kT_per_ns_dof": found.drift_kT_per_ns_dof,
        "drift_ratio": found.drift_ratio,
        "fluctuation_meV_per_atom": found.fluctuation_meV_per_atom,
    }


def stability(
    config: StabilityConfig, potential: PotentialConfig, variation: dict[str, float], folder: Path,
    should_stop: ShouldStop, on_progress: OnProgress,
) -> Measured:  # fmt: skip
    """Measure the time to failure of a run in a thermostat: the whole length if there is none."""
    temperature = variation["temperature_K"]
    integrator = {
        "kind": "langevin_baoab",
        "timestep_fs": config.timestep_fs,
        "temperature_K": temperature,
        "friction_per_ps": config.friction_per_ps,
    }
    settings = _input(config, potential, temperature, integrator, variation)
    failure, run = _run(settings, folder, should_stop, on_progress)
    if run is None:
        return {"time_ps": 0.0, "failed": failure}
    broken = _first_broken(run, config.stretch)
    if broken is not None:
        return {"time_ps": broken, "failed": "a bond broke"}
    end = float(run.times_ps[-1])
    return {"time_ps": config.length_ps if failure is None else end, "failed": failure}


def _input(
    config: NVEConfig | StabilityConfig, potential: PotentialConfig, temperature: float,
    integrator: dict[str, Any], variation: dict[str, float],
) -> dict[str, Any]:  # fmt: skip
    dt = integrator["timestep_fs"]
    return {
        "system": {"structure": config.structure, "temperature_K": temperature},
        "potential": potential.model_dump(mode="json"),
        "integrator": integrator,
        "steps": max(1, round(1000 * config.length_ps / dt)),
        "seed": int(variation["seed"]),
        "output": {
            "trajectory_every": max(1, round(FRAME_FS / dt)),
            "log_every": max(1, round(LOG_FS / dt)),
            "checkpoint_every": 100_000,
        },
        "guards": {"on_leaving_domain": "warn", "max_displacement_A_per_step": 0.5},
    }


def _run(
    settings: dict[str, Any], folder: Path, should_stop: ShouldStop, on_progress: OnProgress
) -> tuple[str | None, Series | None]:
    """Begin or resume a run; return its failure, if any, and its outputs, if it began."""
    path, output = folder / "input.yaml", folder / "output"
    files.write_text(path, json.dumps(settings, indent=1) + "\n")
    failure = None
    try:
        session.run(
            load_config(path), output, should_stop=should_stop,
            on_progress=lambda progress: on_progress(progress.first_step + progress.steps_done),
        )  # fmt: skip
    except NumericalError as error:
        failure = error.message
    if failure is not None and not (output / "log.csv").exists():
        return failure, None
    return failure, series.read(output)


def _first_broken(run: Series, stretch: float) -> float | None:
    """Return the time (ps) of the first frame with a bond that is too long or too short."""
    if not run.bonds:
        return None
    i, j = np.array(run.bonds).T
    lengths = np.linalg.norm(run.positions[:, i] - run.positions[:, j], axis=2) / np.linalg.norm(
        run.positions[0, i] - run.positions[0, j], axis=1
    )
    broken = np.flatnonzero(((lengths > stretch) | (lengths < 1 / stretch)).any(axis=1))
    return float(run.times_ps[broken[0]]) if len(broken) else None
