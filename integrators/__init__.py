"""Integrators of qmd, compiled by Numba: arrays in ASE's units, no files, no conversions.

A `Force` and a `State` go into ``integrator.advance``, which returns a new `State`. The steps of
the splitting literature are `kick` (B), `drift` (A) and `ou` (O); each method has its own file.
"""

from . import neighbours
from .batch import AdvancedBatch, Batch
from .forces.evaluate import evaluate, evaluate_all, evaluate_virial, has_virial, initial_state
from .forces.force import (
    ANY_NUMBER,
    BESIDE_SIGNATURE,
    FORCE_SIGNATURE,
    LOST_PAIR,
    N_ATOMS,
    Force,
    aligned,
    call,
    call_address,
    compute,
    compute_virial,
    pointer,
)
from .forces.python_force import python_force, python_force_in_cell, raise_pending
from .kernel_cache import cfunc, njit
from .kernels import drift, kick, kinetic_energies, kinetic_energy, ou
from .limits import Limits, Status, Stray, stray, unlimited
from .methods.base import AbstractIntegrator
from .methods.cell_rescaling import CellRescaling
from .methods.driftless import Driftless
from .methods.langevin import LangevinBAOAB
from .methods.noisy_langevin import NoisyLangevinBAOAB, with_noise
from .methods.nose_hoover_chain import NoseHooverChain
from .methods.velocity_rescaling import VelocityRescaling
from .methods.verlet import VelocityVerlet
from .neighbours.lists import NeighbourList, neighbour_pairs
from .noise import BAROSTAT, SHOTS, THERMOSTAT, THERMOSTAT_AGAIN, VELOCITIES, Stream, gaussian
from .ramp import Ramp
from .replicas import AbstractReplicas, BatchedReplicas, NativeReplicas
from .state import ISOLATED, NO_BATH, Advanced, State
from .vector_width import VECTOR_WIDTH

__all__ = [
    "ANY_NUMBER",
    "BAROSTAT",
    "BESIDE_SIGNATURE",
    "FORCE_SIGNATURE",
    "ISOLATED",
    "NO_BATH",
    "N_ATOMS",
    "SHOTS",
    "THERMOSTAT",
    "THERMOSTAT_AGAIN",
    "VECTOR_WIDTH",
    "VELOCITIES",
    "AbstractIntegrator",
    "AbstractReplicas",
    "Advanced",
    "AdvancedBatch",
    "Batch",
    "BatchedReplicas",
    "CellRescaling",
    "Driftless",
    "Force",
    "LOST_PAIR",
    "LangevinBAOAB",
    "Limits",
    "NativeReplicas",
    "NeighbourList",
    "NoisyLangevinBAOAB",
    "NoseHooverChain",
    "Ramp",
    "State",
    "Status",
    "Stray",
    "Stream",
    "VelocityRescaling",
    "VelocityVerlet",
    "aligned",
    "call",
    "call_address",
    "cfunc",
    "compute",
    "compute_virial",
    "drift",
    "evaluate",
    "evaluate_all",
    "evaluate_virial",
    "gaussian",
    "has_virial",
    "initial_state",
    "kick",
    "kinetic_energies",
    "kinetic_energy",
    "neighbour_pairs",
    "neighbours",
    "njit",
    "ou",
    "pointer",
    "python_force",
    "python_force_in_cell",
    "raise_pending",
    "stray",
    "unlimited",
    "with_noise",
]
