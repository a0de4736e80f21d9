"""Versions and machine: what a result depends on besides its input."""

import functools
import platform

import llvmlite
import numba
import numpy

import qmd


@functools.cache
def versions(backend: str) -> dict[str, str]:
    """Versions on which the bits of a trajectory depend, those of JAX for its `backend` only."""
    found = {
        "qmd": qmd.__version__,
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "numba": numba.__version__,
        "llvmlite": llvmlite.__version__,
    }
    if backend == "jax":
        from importlib.metadata import version

        found |= {name: version(name) for name in ("jax", "jaxlib")}
    return found


def machine() -> dict[str, str]:
    """Processor and system, as far as the system tells."""
    return {"machine": platform.machine(), "system": platform.system(), "cpu": _cpu_name()}


def _cpu_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            names = [
                line.split(":", 1)[1].strip() for line in file if line.startswith("model name")
            ]
    except OSError:
        names = []
    return names[0] if names else platform.processor()
