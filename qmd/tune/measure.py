"""Quantities of a trained package: validation errors, parameters, time on one core."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from qmd.errors import MismatchError, NumericalError
from qmd.forces.build import build_package
from qmd.integrators import ISOLATED, Force, compute, njit, pointer
from qmd.potentials import Package
from qmd.typing import Array

SAMPLE_S, SAMPLES = 0.05, 5
"""Length of a sample (s), and number of samples; the shortest one counts."""


def quantities(package: Package) -> dict[str, float]:
    """Return all quantities that can be an objective or a constraint, and the test errors.

    Raises
    ------
    NumericalError
        If one is not finite.
    """
    card = package.training
    found = {"parameters": float(card["parameters"]), "inference_us": inference_us(package)}
    for part, prefix in (("validation", ""), ("test", "test_")):
        errors = card["errors"][part]["all"]
        for key in ("energy_rmse_meV", "forces_rmse_meV_per_A"):
            if errors[key] is not None:
                found[prefix + key] = float(errors[key])
    for key, value in found.items():
        if not np.isfinite(value):
            raise NumericalError(f"{key} of the trained potential is {value}")
    return found


def inference_us(package: Package) -> float:
    """Return the CPU time (us) of energy and forces at the first test geometry, on one core.

    It is the potential as a run uses it. CPU time of the process, and the shortest of several
    samples: other programs on the machine disturb it least.
    """
    assert package.test_positions is not None
    positions = np.array(package.test_positions[0])
    cell = np.array(ISOLATED if package.test_cells is None else package.test_cells[0])
    force = pointer(_force(package))
    forces = np.empty_like(positions)
    with one_core():
        _repeat(force, positions, cell, forces, 2)
        n = 1
        while (seconds := _seconds(force, positions, cell, forces, n)) < SAMPLE_S / 4:
            n *= 4
        n = max(1, round(n * SAMPLE_S / seconds))
        samples = [_seconds(force, positions, cell, forces, n) / n for _ in range(SAMPLES)]
    return 1e6 * min(samples)


def _force(package: Package) -> Force:
    """Return the native kernel, or the JAX function where there is none."""
    try:
        return build_package(package, "native").force()
    except MismatchError:
        return build_package(package, "jax").force()


@njit()
def _repeat(force, positions, cell, forces, n):  # type: ignore[no-untyped-def]
    energy = 0.0
    for k in range(n):  # methods that remember a geometry must not be called with it twice
        positions[0, 0] += 1e-7 * (k % 2 - 0.5)
        energy += compute(force, positions, cell, forces)
    return energy


def _seconds(force: Any, positions: Array, cell: Array, forces: Array, n: int) -> float:
    begin = time.process_time()
    _repeat(force, positions, cell, forces, n)
    return time.process_time() - begin


@contextmanager
def one_core() -> Iterator[None]:
    """Keep all threads of this process on one core, where the system allows that."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = {thread: os.sched_getaffinity(thread) for thread in _threads()}
    core = {min(os.sched_getaffinity(0))}
    try:
        for thread in before:
            with suppress(OSError):  # it has ended
                os.sched_setaffinity(thread, core)
        yield
    finally:
        for thread in _threads():
            with suppress(OSError):
                os.sched_setaffinity(thread, before.get(thread, before[os.getpid()]))


def _threads() -> list[int]:
    with suppress(OSError):
        return [int(name) for name in os.listdir("/proc/self/task")]
    return [os.getpid()]
