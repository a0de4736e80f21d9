"""Integrators of qmd, compiled by Numba: arrays in ASE's units, no files, no conversions.

A `Force` and a `State` go into ``integrator.advance``, which returns a new `State`. The steps of
the splitting literature are `kick` (B), `drift` (A) and `ou` (O); each method has its own file.
"""

from .base import AbstractIntegrator
from .batch import AdvancedBatch, Batch, kinetic_energies
from .callback import python_force, raise_pending
from .evaluate import evaluate, initial_state
from .force import FORCE_SIGNATURE, Force, compute, pointer
from .kernels import drift, kick, kinetic_energy, ou
from .langevin import LangevinBAOAB
from .limits import Limits, Status, unlimited
from .noise import SHOTS, THERMOSTAT, VELOCITIES, Stream, gaussian
from .noisy_langevin import NoisyLangevinBAOAB, with_noise
from .replicas import AbstractReplicas, BatchedReplicas, NativeReplicas
from .state import Advanced, State
from .verlet import VelocityVerlet

__all__ = [
    "FORCE_SIGNATURE",
    "SHOTS",
    "THERMOSTAT",
    "VELOCITIES",
    "AbstractIntegrator",
    "AbstractReplicas",
    "Advanced",
    "AdvancedBatch",
    "Batch",
    "BatchedReplicas",
    "Force",
    "LangevinBAOAB",
    "Limits",
    "NativeReplicas",
    "NoisyLangevinBAOAB",
    "State",
    "Status",
    "Stream",
    "VelocityVerlet",
    "compute",
    "drift",
    "evaluate",
    "gaussian",
    "initial_state",
    "kick",
    "kinetic_energies",
    "kinetic_energy",
    "ou",
    "pointer",
    "python_force",
    "raise_pending",
    "unlimited",
    "with_noise",
]
