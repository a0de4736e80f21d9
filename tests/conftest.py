"""Fixtures that several test files share. Nothing heavy is imported here: fixtures do that."""

import gc
import math
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from beds import Bed

os.environ.setdefault("JAX_ENABLE_X64", "true")
os.environ.setdefault("JAX_NUMPY_DTYPE_PROMOTION", "strict")
os.environ.setdefault("JAX_NUMPY_RANK_PROMOTION", "raise")

OBJECTS = 50_000
"""New objects after which Python looks for unreachable ones, as `qmd` itself does at 20,000.

JAX and pytest keep many objects; to look through all of them after each 700 takes time.
"""


def pytest_configure(config: pytest.Config) -> None:
    """Listen to signals, and keep compiled kernels apart from those of ordinary runs.

    A job in the background begins with SIGINT ignored, and one under nohup with SIGHUP: tests that
    send them, and the programs they start, would wait for ever.
    """
    for number, handler in (
        (signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)
    ):  # fmt: skip
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)
    gc.set_threshold(OBJECTS)
    directory = Path(tempfile.gettempdir()) / f"qmd-kernels-{os.getuid()}"
    if cache := getattr(config, "cache", None):  # none with `-p no:cacheprovider`
        directory = cache.mkdir("numba")
    os.environ.setdefault("NUMBA_CACHE_DIR", str(directory))


@pytest.fixture(scope="session", autouse=True)
def quick_compilation(request: pytest.FixtureRequest) -> None:
    """Let XLA compile in two thirds of the time in the default tests, to slower programs.

    The long tests, and all programs that tests start, run what users run.
    """
    if "not slow" in request.config.option.markexpr:
        import jax

        jax.config.update("jax_disable_most_optimizations", True)


@pytest.fixture
def trusting() -> Iterator[None]:
    """Inputs may name foreign code, as with `--trust`."""
    from qmd.config.trust import trusting

    with trusting():
        yield


@pytest.fixture(scope="session")
def harmonic() -> Any:
    """Each atom in a well ``U = k/2 |x|^2`` around the origin, with k = 2 eV/angstrom^2."""
    from qmd.integrators import FORCE_SIGNATURE, Force, cfunc

    @cfunc(FORCE_SIGNATURE)
    def function(positions, cell, forces_out, virial_out, program, workspace):
        energy = 0.0
        for i in range(positions.shape[0]):
            for c in range(3):
                forces_out[i, c] = -workspace[0] * positions[i, c]
                energy += 0.5 * workspace[0] * positions[i, c] ** 2
        return energy

    return Force(function, np.zeros(1, dtype=np.int64), np.array([2.0]))


@pytest.fixture(scope="session")
def water() -> Bed:
    """One flexible H2O: Morse bonds and a harmonic bend, atoms O, H, H.

    Given 3 n atoms, the force takes them for n molecules that do not see each other: n replicas.
    The parameters are those for which the reliability figures were measured.
    """
    from qmd.integrators import FORCE_SIGNATURE, Force, cfunc

    @cfunc(FORCE_SIGNATURE)
    def function(positions, cell, forces_out, virial_out, program, workspace):
        depth, alpha, r0, k, theta0 = workspace
        energy = 0.0
        bonds, lengths, slopes = np.empty((2, 3)), np.empty(2), np.empty(2)
        for o in range(0, positions.shape[0], 3):
            for b in range(2):
                for c in range(3):
                    bonds[b, c] = positions[o + 1 + b, c] - positions[o, c]
                lengths[b] = math.sqrt(bonds[b, 0] ** 2 + bonds[b, 1] ** 2 + bonds[b, 2] ** 2)
                decay = math.exp(-alpha * (lengths[b] - r0))
                energy += depth * (1.0 - decay) ** 2
                slopes[b] = 2.0 * depth * alpha * (1.0 - decay) * decay
            cosine = 0.0
            for c in range(3):
                cosine += bonds[0, c] * bonds[1, c] / (lengths[0] * lengths[1])
            angle = math.acos(cosine)
            energy += 0.5 * k * (angle - theta0) ** 2
            torque = k * (angle - theta0) / math.sin(angle)
            for c in range(3):
                u0, u1 = bonds[0, c] / lengths[0], bonds[1, c] / lengths[1]
                f0 = -slopes[0] * u0 + torque * (u1 - cosine * u0) / lengths[0]
                f1 = -slopes[1] * u1 + torque * (u0 - cosine * u1) / lengths[1]
                forces_out[o, c], forces_out[o + 1, c], forces_out[o + 2, c] = -f0 - f1, f0, f1
        return energy

    r0, theta0 = 0.9419, math.radians(107.4)
    constants = np.array([5.0341, 2.287, r0, 3.8095, theta0])
    x, y = r0 * math.sin(theta0 / 2), r0 * math.cos(theta0 / 2)
    return Bed(
        Force(function, np.zeros(1, dtype=np.int64), constants),
        np.array([15.999, 1.008, 1.008]),
        np.array([[0.0, 0.0, 0.0], [x, y, 0.0], [-x, y, 0.0]]),
    )
