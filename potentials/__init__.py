"""Potentials of qmd: circuits as data, their three interpreters, packages.

Modules that need JAX or PennyLane are imported when first used: a run on the native kernel needs
neither.
"""

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import families as families
from .allegro.allegro import Allegro, AllegroParameters, AllegroQdi
from .circuit.architecture import Architecture, Parameters, Quantum
from .circuit.circuit import Circuit, Encode, Heisenberg, Observable, RotationZ, clusters
from .circuit.features import Entry, LinearVectors, VectorDensities
from .circuit.rotations import rotations as circuit_rotations
from .classical.ewald import EwaldCharges, ewald_charges
from .classical.molecular import (
    HarmonicAngles,
    HarmonicBonds,
    LennardJones,
    MorseBonds,
    PointCharges,
)
from .classical.truncated import TruncatedLennardJones
from .classical.walls import ShortRangeWall, SphericalWall
from .classical.water import WATER_PAIRS, BaselineParameters, WaterBaseline
from .models import atom_centred, sivqlm, spc_fw, water_pair
from .network import perceptron
from .network.network import AtomCentredNetwork, NetworkParameters
from .network.perceptron import Perceptron, PerceptronParameters
from .package.domain import BEYOND_A, Domain
from .package.external import External
from .package.files import SHIPPED, bounded_anew, find, load, read, save, shipped
from .package.json_form import model_sha256
from .package.package import Package, PackageError, Variant
from .parameters import MAX_PARAMETER
from .polynomial import polynomial
from .polynomial.polynomial import InvariantPolynomial, PolynomialParameters
from .qdi.circuit import QDI
from .qdi.circuit import rotations as qdi_rotations
from .rotations import Fixed, Rotation, RotationProgram
from .tree.nodes import (
    Committee,
    ManyBody,
    Model,
    OnAtoms,
    PerAtomSum,
    Scaled,
    Sum,
    Switched,
)
from .tree.walk import (
    Switch,
    flatten,
    leaves,
    needs_jax,
    on_atoms,
    serves_cells_by_jax,
)
from .vqlm import vqlm
from .vqlm.vqlm import Vqlm

if TYPE_CHECKING:
    from .circuit import jax_energy as vqc
    from .circuit import pennylane_energy as reference
    from .circuit.native import native_kernel
    from .contract import evaluate, evaluate_all
    from .family import CellGradient, EvaluatedInCell
    from .network import native as centred_native
    from .network import pennylane_energy as network_reference
    from .qdi import pennylane_form as qdi_reference
    from .shots.covariance import shot_covariance
    from .tree import jax_energy as jax_model
    from .tree.gradient import ParameterGradient, cell_gradient
    from .tree.native import native_model
    from .tree.potential import AbstractPotential, ModelPotential, compiled, compiled_in_cell
    from .vqlm import pennylane_energy as vqlm_reference

__all__ = [
    "BEYOND_A",
    "MAX_PARAMETER",
    "QDI",
    "Fixed",
    "Rotation",
    "RotationProgram",
    "qdi_rotations",
    "qdi_reference",
    "SHIPPED",
    "WATER_PAIRS",
    "AbstractPotential",
    "Allegro",
    "AllegroParameters",
    "AllegroQdi",
    "Architecture",
    "PerAtomSum",
    "BaselineParameters",
    "CellGradient",
    "Circuit",
    "Committee",
    "Domain",
    "Encode",
    "Entry",
    "EvaluatedInCell",
    "EwaldCharges",
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
    "AtomCentredNetwork",
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
    "TruncatedLennardJones",
    "Variant",
    "VectorDensities",
    "Vqlm",
    "circuit_rotations",
    "clusters",
    "atom_centred",
    "bounded_anew",
    "cell_gradient",
    "centred_native",
    "compiled",
    "compiled_in_cell",
    "evaluate",
    "evaluate_all",
    "ewald_charges",
    "find",
    "flatten",
    "jax_model",
    "leaves",
    "load",
    "model_sha256",
    "network_reference",
    "on_atoms",
    "native_kernel",
    "native_model",
    "needs_jax",
    "perceptron",
    "polynomial",
    "reference",
    "read",
    "save",
    "serves_cells_by_jax",
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
    "AbstractPotential": "tree.potential",
    "compiled": "tree.potential",
    "compiled_in_cell": "tree.potential",
    "evaluate": "contract",
    "evaluate_all": "contract",
    "CellGradient": "family",
    "EvaluatedInCell": "family",
    "ParameterGradient": "tree.gradient",
    "cell_gradient": "tree.gradient",
    "native_kernel": "circuit.native",
    "ModelPotential": "tree.potential",
    "native_model": "tree.native",
    "shot_covariance": "shots.covariance",
}

_LAZY_MODULES = {
    "centred_native": "network.native",
    "jax_model": "tree.jax_energy",
    "network_reference": "network.pennylane_energy",
    "qdi_reference": "qdi.pennylane_form",
    "reference": "circuit.pennylane_energy",
    "vqc": "circuit.jax_energy",
    "vqlm_reference": "vqlm.pennylane_energy",
}


_RENAMED = {"AtomCentred": "PerAtomSum", "Network": "AtomCentredNetwork"}
"""Names of release 0.1; to be removed in release 0.3."""


def __getattr__(name: str) -> Any:
    if name in _RENAMED:
        new = _RENAMED[name]
        text = f"qmd.potentials.{name} is now {new}; the old name goes with release 0.3"
        warnings.warn(text, DeprecationWarning, stacklevel=2)
        return globals()[new]
    if name == "NativeKernel":
        from qmd.integrators import Force

        text = "qmd.potentials.NativeKernel is now qmd.integrators.Force; it goes with release 0.3"
        warnings.warn(text, DeprecationWarning, stacklevel=2)
        return Force
    if name in _LAZY_MODULES:
        return import_module(f".{_LAZY_MODULES[name]}", __name__)
    if name in _LAZY:
        return getattr(import_module(f".{_LAZY[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the names of this module, with those that are imported when first used."""
    return sorted({*globals(), *__all__})
