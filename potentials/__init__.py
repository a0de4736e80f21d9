"""Potentials of qmd: circuits as data, their three interpreters, packages.

What needs JAX or PennyLane is imported when it is first asked for: a run on the native kernel
needs neither.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import sivqlm
from .circuit import Circuit, Encode, Heisenberg, Observable, RotationZ
from .features import LinearVectors
from .model import Architecture, Parameters
from .package import SHIPPED, Domain, Package, PackageError, find, load, save, shipped

if TYPE_CHECKING:
    from . import vqc
    from .base import AbstractPotential, compiled
    from .native import NativeKernel, evaluate, native_kernel
    from .quantum import QuantumPotential

__all__ = [
    "SHIPPED",
    "AbstractPotential",
    "Architecture",
    "Circuit",
    "Domain",
    "Encode",
    "Heisenberg",
    "LinearVectors",
    "NativeKernel",
    "Observable",
    "Package",
    "PackageError",
    "Parameters",
    "QuantumPotential",
    "RotationZ",
    "compiled",
    "evaluate",
    "find",
    "load",
    "native_kernel",
    "save",
    "shipped",
    "sivqlm",
    "vqc",
]

_LAZY = {
    "AbstractPotential": "base",
    "compiled": "base",
    "NativeKernel": "native",
    "evaluate": "native",
    "native_kernel": "native",
    "QuantumPotential": "quantum",
}


def __getattr__(name: str) -> Any:
    if name == "vqc":
        return import_module(".vqc", __name__)
    if name in _LAZY:
        return getattr(import_module(f".{_LAZY[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
