"""Times of forces, steps and starts of several potentials, measured in turn.

Other load on the machine affects all of them equally: quote the ratios.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from qmd import units
from qmd.benchmark.config import SpeedConfig
from qmd.benchmark.geometries import Measured
from qmd.errors import NumericalError
from qmd.forces.config import PotentialConfig
from qmd.forces.runnable import RunnablePotential
from qmd.integrators import (
    ISOLATED,
    VELOCITIES,
    Force,
    Limits,
    Stream,
    VelocityVerlet,
    compute,
    gaussian,
    initial_state,
    njit,
    pointer,
)
from qmd.system.system import System

SAMPLE_S = 0.05
"""Length of a sample (s), unless one call takes longer."""
TIMESTEP_FS, TEMPERATURE_K = 0.5, 300.0

Sample = Callable[[int], None]


def speed(
    potentials: dict[str, tuple[PotentialConfig, RunnablePotential]],
    system: System,
    measure: SpeedConfig,
    on_progress: Callable[[str, int, int], None] = lambda what, done, of: None,
) -> dict[str, Measured]:
    """Return medians over interleaved samples: us per force, steps per second, seconds per start.

    Parameters
    ----------
    potentials : dict
        Configuration and potential, by label.
    system : System
    measure : SpeedConfig
        Its structure must be that of `system`: a built-in name or an absolute path.
    on_progress : callable
    """
    forces = {label: potential.force() for label, (_, potential) in potentials.items()}
    samples: dict[tuple[str, str], Sample] = {}
    for label, force in forces.items():
        samples[label, "force"] = _forces(force, system)
        samples[label, "step"] = _steps(force, system)
    counts = {key: _count(sample) for key, sample in samples.items()}
    times: dict[tuple[str, str], list[float]] = {key: [] for key in samples}
    for turn in range(measure.rounds):
        for key, sample in samples.items():
            times[key].append(_seconds(sample, counts[key]) / counts[key])
        on_progress("rounds of speed", turn + 1, measure.rounds)
    starts = _starts({k: c for k, (c, _) in potentials.items()}, measure, on_progress)
    return {
        label: {
            "us_per_force": 1e6 * statistics.median(times[label, "force"]),
            "steps_per_s": 1 / statistics.median(times[label, "step"]),
            "start_s": starts[label],
        }
        for label in potentials
    }


def _seconds(sample: Sample, n: int) -> float:
    begin = time.perf_counter()
    sample(n)
    return time.perf_counter() - begin


def _count(sample: Sample) -> int:
    """Return the number of calls in a sample of about `SAMPLE_S`, without those that compile."""
    sample(2)
    n = 1
    while (seconds := _seconds(sample, n)) < SAMPLE_S / 4:
        n *= 4
    return max(1, round(n * SAMPLE_S / seconds))


def _forces(force: Force, system: System) -> Sample:
    positions, forces = system.positions.copy(), np.empty_like(system.positions)
    rng = np.random.default_rng(0)

    def sample(n: int) -> None:
        # Methods that remember the last geometry must not be called with it twice.
        moved = positions + 0.01 * rng.standard_normal(positions.shape)
        _repeat(pointer(force), moved, np.array(ISOLATED), forces, n)

    return sample


@njit()
def _repeat(force, positions, cell, forces, n):  # type: ignore[no-untyped-def]
    energy = 0.0
    for k in range(n):
        positions[0, 0] += 1e-7 * (k % 2 - 0.5)
        energy += compute(force, positions, cell, forces)
    return energy


def _steps(force: Force, system: System) -> Sample:
    normals = np.empty_like(system.positions)
    gaussian(normals, Stream(1), 0, VELOCITIES)
    velocities = normals * np.sqrt(units.kB * TEMPERATURE_K / system.masses)[:, None]
    verlet, inverse = VelocityVerlet(TIMESTEP_FS * units.fs), 1 / system.masses
    start = initial_state(force, system.positions, velocities)
    none = np.zeros((0, 2))
    limits = Limits(np.inf, 1.0, none.astype(np.int64), none, none)

    def sample(n: int) -> None:
        advanced = verlet.advance(start, force, inverse, Stream(0), limits, n)
        if not np.isfinite(advanced.state.energy):
            raise NumericalError("the energy is not finite after some steps from the structure")

    return sample


def _starts(
    configs: dict[str, PotentialConfig],
    measure: SpeedConfig,
    on_progress: Callable[[str, int, int], None],
) -> dict[str, float]:
    """Return median wall times (s) of `qmd run` of one step in a new process, with warm caches."""
    seconds: dict[str, list[float]] = {label: [] for label in configs}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(measure.starts + 1):  # the first one fills the caches
            for k, (label, config) in enumerate(configs.items()):
                path = Path(folder) / f"{k}.yaml"
                settings = {
                    "system": {"structure": measure.structure, "temperature_K": TEMPERATURE_K},
                    "potential": config.model_dump(mode="json"),
                    "integrator": {"kind": "velocity_verlet", "timestep_fs": TIMESTEP_FS},
                    "steps": 1,
                }
                path.write_text(json.dumps(settings))
                command = [sys.executable, "-m", "qmd", "run", str(path), "--quiet",
                           "--output", str(Path(folder) / f"{k}-{turn}")]  # fmt: skip
                begin = time.perf_counter()
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode != 0:
                    raise NumericalError(f"{label}: {done.stderr.strip()[-300:]}")
                if turn:
                    seconds[label].append(time.perf_counter() - begin)
            on_progress("starts", turn + 1, measure.starts + 1)
    return {label: statistics.median(values) for label, values in seconds.items()}
