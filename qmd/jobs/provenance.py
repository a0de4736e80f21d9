"""Versions and machine: what a result depends on besides its input."""

import functools
import platform

import llvmlite
import numba
import numpy

import qmd


@functools.cache
def versions(*packages: str) -> dict[str, str]:
    """Versions on which the bits of a trajectory depend, and those of `packages` (jax, pyscf)."""
    found = {
        "qmd": qmd.__version__,
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "numba": numba.__version__,
        "llvmlite": llvmlite.__version__,
    }
    if packages:
        from importlib.metadata import version

        more = ("jaxlib",) if "jax" in packages else ()
        found |= {name: version(name) for name in (*packages, *more)}
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
