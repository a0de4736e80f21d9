"""Exports of the water potential, and processes that cannot import `qmd`."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from qmd.potentials import Package, compiled, evaluate, find, load

ALONE = """\
import runpy, sys
sys.modules["qmd"] = None  # importing it fails
sys.path.insert(0, "")
runpy.run_path(sys.argv[1], run_name="__main__")
"""

UNKNOWN_FORMAT = "ignore:Failed to register external IO format qmd:UserWarning"
"""ASE looks for our reader of trajectories, which an installation without qmd would not list."""


def water() -> Package:
    return load(find("sivqlm-h2o"))


def geometries(package: Package, count: int) -> np.ndarray:
    """Test positions moved by up to 0.02 angstrom: inside the domain, none of the card's."""
    rng = np.random.default_rng(count)
    start = package.test_positions[np.arange(count) % len(package.test_positions)]
    return start + rng.uniform(-0.02, 0.02, start.shape)


def native(package: Package, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Energies (n,) and forces (n, n_atoms, 3) of the native kernel."""
    kernel = package.native()
    results = [evaluate(kernel, x) for x in positions]
    return np.array([e for e, _ in results]), np.array([f for _, f in results])


def in_jax(package: Package, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Energies (n,) and forces (n, n_atoms, 3) of the JAX function."""
    run = compiled(package.potential())
    results = [run(x) for x in positions]
    return np.array([e for e, _ in results]), np.array([f for _, f in results])


def run_alone(script: str, folder: Path) -> str:
    """Standard output of `script` in a fresh process in `folder`, in JAX's default precision."""
    (folder / "script.py").write_text(script)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_", "PYTHON"))}
    result = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-W", UNKNOWN_FORMAT, "-c", ALONE,
         "script.py"],
        cwd=folder, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout
