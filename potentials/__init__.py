"""Potentials of qmd: circuits as data, their three interpreters, packages.

What needs JAX or PennyLane is imported when it is first asked for: a run on the native kernel
needs neither.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import atom_centred, perceptron, polynomial, sivqlm, spc_fw, vqlm, water_pair
from .circuit import Circuit, Encode, Heisenberg, Observable, RotationZ, clusters
from .classical import (
    WATER_PAIRS,
    BaselineParameters,
    ShortRangeWall,
    SphericalWall,
    WaterBaseline,
)
from .external import External
from .features import Entry, LinearVectors, VectorDensities
from .model import MAX_PARAMETER, Architecture, Parameters
from .molecular import HarmonicAngles, HarmonicBonds, LennardJones, MorseBonds, PointCharges
from .network import Network, NetworkParameters
from .package import (
    SHIPPED,
    Domain,
    Package,
    PackageError,
    Variant,
    find,
    load,
    save,
    shipped,
)
from .perceptron import Perceptron, PerceptronParameters
from .polynomial import InvariantPolynomial, PolynomialParameters
from .serialization import model_sha256
from .tree import (
    AtomCentred,
    Committee,
    ManyBody,
    Model,
    OnAtoms,
    Quantum,
    Scaled,
    Sum,
    Switch,
    Switched,
    flatten,
    leaves,
    on_atoms,
)
from .vqlm import Vqlm

if TYPE_CHECKING:
    from . import centred_native, jax_model, reference, vqc, vqlm_reference
    from .base import AbstractPotential, compiled
    from .compose import native_model
    from .jax_potential import ModelPotential
    from .native import NativeKernel, evaluate, evaluate_all, native_kernel
    from .native_gradient import ParameterGradient
    from .shots import shot_covariance

__all__ = [
    "MAX_PARAMETER",
    "SHIPPED",
    "WATER_PAIRS",
    "AbstractPotential",
    "Architecture",
    "AtomCentred",
    "BaselineParameters",
    "Circuit",
    "Committee",
    "Domain",
    "Encode",
    "Entry",
    "External",
    "HarmonicAngles",
    "HarmonicBonds",
    "Heisenberg",
    "InvariantPolynomial",
    "LennardJones",
    "LinearVectors",
    "ManyBody",
    "Model",
    "ModelPotential",
    "MorseBonds",
    "NativeKernel",
    "Network",
    "NetworkParameters",
    "Observable",
    "OnAtoms",
    "Package",
    "PackageError",
    "Perceptron",
    "PerceptronParameters",
    "PolynomialParameters",
    "WaterBaseline",
    "ParameterGradient",
    "Parameters",
    "PointCharges",
    "Quantum",
    "RotationZ",
    "Scaled",
    "ShortRangeWall",
    "SphericalWall",
    "Sum",
    "Switch",
    "Switched",
    "Variant",
    "VectorDensities",
    "Vqlm",
    "clusters",
    "atom_centred",
    "centred_native",
    "compiled",
    "evaluate",
    "evaluate_all",
    "find",
    "flatten",
    "jax_model",
    "leaves",
    "load",
    "model_sha256",
    "on_atoms",
    "native_kernel",
    "native_model",
    "perceptron",
    "polynomial",
    "reference",
    "save",
    "shipped",
    "shot_covariance",
    "sivqlm",
    "spc_fw",
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
    "shot_covariance": "shots",
}


def __getattr__(name: str) -> Any:
    if name in ("centred_native", "jax_model", "reference", "vqc", "vqlm_reference"):
        return import_module(f".{name}", __name__)
    if name in _LAZY:
        return getattr(import_module(f".{_LAZY[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
