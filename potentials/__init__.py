"""Potentials of qmd: circuits as data, their three interpreters, packages.

What needs JAX or PennyLane is imported when it is first asked for: a run on the native kernel
needs neither.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import polynomial, sivqlm, vqlm, water_pair
from .circuit import Circuit, Encode, Heisenberg, Observable, RotationZ, clusters
from .classical import (
    WATER_PAIRS,
    BaselineParameters,
    ShortRangeWall,
    SphericalWall,
    WaterBaseline,
)
from .features import Entry, LinearVectors, VectorDensities
from .model import MAX_PARAMETER, Architecture, Parameters
from .package import SHIPPED, Domain, Package, PackageError, find, load, save, shipped
from .polynomial import InvariantPolynomial, PolynomialParameters
from .tree import ManyBody, Model, OnAtoms, Quantum, Sum, Switch, Switched, flatten, leaves
from .vqlm import Vqlm

if TYPE_CHECKING:
    from . import jax_model, reference, vqc, vqlm_reference
    from .base import AbstractPotential, compiled
    from .compose import native_model
    from .jax_potential import ModelPotential
    from .native import NativeKernel, evaluate, evaluate_all, native_kernel
    from .native_gradient import ParameterGradient

__all__ = [
    "MAX_PARAMETER",
    "SHIPPED",
    "WATER_PAIRS",
    "AbstractPotential",
    "Architecture",
    "BaselineParameters",
    "Circuit",
    "Domain",
    "Encode",
    "Entry",
    "Heisenberg",
    "InvariantPolynomial",
    "LinearVectors",
    "ManyBody",
    "Model",
    "ModelPotential",
    "NativeKernel",
    "Observable",
    "OnAtoms",
    "Package",
    "PackageError",
    "PolynomialParameters",
    "WaterBaseline",
    "ParameterGradient",
    "Parameters",
    "Quantum",
    "RotationZ",
    "ShortRangeWall",
    "SphericalWall",
    "Sum",
    "Switch",
    "Switched",
    "VectorDensities",
    "Vqlm",
    "clusters",
    "compiled",
    "evaluate",
    "evaluate_all",
    "find",
    "flatten",
    "jax_model",
    "leaves",
    "load",
    "native_kernel",
    "native_model",
    "polynomial",
    "reference",
    "save",
    "shipped",
    "sivqlm",
    "vqc",
    "vqlm",
    "vqlm_reference",
    "water_pair",
]

_LAZY = {
    "AbstractPotential": "base",
    "compiled": "base",
    "NativeKernel": "native",
    "evaluate": "native",
    "evaluate_all": "native",
    "ParameterGradient": "native_gradient",
    "native_kernel": "native",
    "ModelPotential": "jax_potential",
    "native_model": "compose",
}


def __getattr__(name: str) -> Any:
    if name in ("jax_model", "reference", "vqc", "vqlm_reference"):
        return import_module(f".{name}", __name__)
    if name in _LAZY:
        return getattr(import_module(f".{_LAZY[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
