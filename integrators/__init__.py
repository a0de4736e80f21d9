"""Integrators of qmd, compiled by Numba: arrays in ASE's units, no files, no conversions.

A `Force` and a `State` go into ``integrator.advance``, which returns a new `State`. The steps of
the splitting literature are `kick` (B), `drift` (A) and `ou` (O); each method has its own file.
"""

from .batch import AdvancedBatch, Batch
from .forces.evaluate import evaluate, initial_state
from .forces.force import FORCE_SIGNATURE, Force, compute, pointer
from .forces.python_force import python_force, raise_pending
from .kernels import drift, kick, kinetic_energies, kinetic_energy, ou
from .limits import Limits, Status, unlimited
from .methods.base import AbstractIntegrator
from .methods.langevin import LangevinBAOAB
from .methods.noisy_langevin import NoisyLangevinBAOAB, with_noise
from .methods.verlet import VelocityVerlet
from .noise import SHOTS, THERMOSTAT, VELOCITIES, Stream, gaussian
from .replicas import AbstractReplicas, BatchedReplicas, NativeReplicas
from .state import Advanced, State

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
