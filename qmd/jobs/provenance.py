"""Versions and machine, on which a result depends in addition to its input."""

import functools
import platform

import llvmlite
import numba
import numpy

import qmd


@functools.cache
def versions(*packages: str) -> dict[str, str]:
    """Return the versions on which the bits of a trajectory depend, with those of `packages`."""
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
    """Return the architecture, operating system and processor, as far as they are known."""
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
