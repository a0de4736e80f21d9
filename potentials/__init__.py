"""Potentials of qmd: circuits as data, their three interpreters, packages.

What needs JAX or PennyLane is imported when it is first asked for: a run on the native kernel
needs neither.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import sivqlm
from .circuit import Circuit, Encode, Heisenberg, Observable, RotationZ
from .classical import BaselineParameters, PairBaseline, ShortRangeWall
from .features import Entry, LinearVectors, VectorDensities
from .model import Architecture, Parameters
from .package import SHIPPED, Domain, Package, PackageError, find, load, save, shipped
from .tree import ManyBody, Model, OnAtoms, Quantum, Sum, Switched
from .vqlm import Vqlm

if TYPE_CHECKING:
    from . import jax_model, vqc
    from .base import AbstractPotential, compiled
    from .compose import native_model
    from .jax_potential import ModelPotential
    from .native import NativeKernel, evaluate, native_kernel

__all__ = [
    "SHIPPED",
    "AbstractPotential",
    "Architecture",
    "BaselineParameters",
    "Circuit",
    "Domain",
    "Encode",
    "Entry",
    "Heisenberg",
    "LinearVectors",
    "ManyBody",
    "Model",
    "ModelPotential",
    "NativeKernel",
    "Observable",
    "OnAtoms",
    "Package",
    "PackageError",
    "PairBaseline",
    "Parameters",
    "Quantum",
    "RotationZ",
    "ShortRangeWall",
    "Sum",
    "Switched",
    "VectorDensities",
    "Vqlm",
    "compiled",
    "evaluate",
    "find",
    "jax_model",
    "load",
    "native_kernel",
    "native_model",
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
    "ModelPotential": "jax_potential",
    "native_model": "compose",
}


def __getattr__(name: str) -> Any:
    if name in ("jax_model", "vqc"):
        return import_module(f".{name}", __name__)
    if name in _LAZY:
        return getattr(import_module(f".{_LAZY[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
