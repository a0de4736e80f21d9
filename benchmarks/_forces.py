"""Energy and forces of one potential by four means; each is called as its users would call it.

A `Task` makes `n` evaluations of one configuration and returns what the last one gave.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from qmd.forces.catalogue import load_package
from qmd.integrators import compute, njit, pointer
from qmd.io.structure import BUILT_IN
from qmd.potentials import (
    Architecture,
    ModelPotential,
    Parameters,
    Quantum,
    compiled,
    native_model,
    sivqlm,
)


class Model(NamedTuple):
    """A potential, and a configuration (angstrom) of its molecules."""

    potential: Any
    """A tree of `qmd.potentials`."""
    positions: np.ndarray


class Result(NamedTuple):
    """Energy (eV) and forces (eV/angstrom), or None where they are not formed."""

    energy: float
    forces: Any


Task = Callable[[int], Result]


_CIRCUITS = {"h2o": (sivqlm.water, "h2o"), "dimer": (sivqlm.water_dimer, "h2o-dimer")}


def model(molecule: str) -> Model:
    """The circuit of "h2o" or "dimer" in the paper's size, or "waters": a dimer to run.

    The circuits have seeded random parameters. "waters" is the dimer that ships: E1 + E1' + E2 with
    a wall, as `qmd train` assembles it.
    """
    random = np.random.default_rng(1)
    if molecule == "waters":
        potential: Any = load_package("sivqlm-h2o-dimer", Path()).model
        structure = "h2o-dimer"
    else:
        make, structure = _CIRCUITS[molecule]
        potential = _circuit(make(), random)
    # Off the symmetric minimum: for vectors along z the polar angles of PennyLane are not smooth.
    positions = np.array(BUILT_IN[structure][1])
    return Model(potential, positions + random.normal(0.0, 0.05, positions.shape))


def _circuit(architecture: Architecture, random: np.random.Generator) -> Quantum:
    circuit = architecture.circuit
    parameters = Parameters(
        scales=np.full((1, architecture.features.n_scales), 0.5),
        couplings=random.normal(0.0, 0.3, (circuit.n_layers, circuit.n_couplings)),
        weights=np.ones(len(circuit.observables)),
        offset=np.zeros(()),
    )
    return Quantum(architecture, parameters)


def native(model: Model) -> Task:
    """The native kernel, called from a Numba loop as the integrators do."""
    force = native_model(model.potential)
    positions, forces = model.positions, np.empty_like(model.positions)

    def task(n: int) -> Result:
        energy = _repeat(pointer(force), positions, np.zeros((3, 3)), forces, n)
        return Result(energy, forces.copy())

    return task


@njit()
def _repeat(force, positions, cell, forces, n):
    energy = 0.0
    for _ in range(n):
        energy = compute(force, positions, cell, forces)
    return energy


def jitted_jax(model: Model) -> Task:
    """The jitted JAX function with its parameters as constants, called from Python."""
    function = compiled(ModelPotential(model.potential))

    def task(n: int) -> Result:
        for _ in range(n):
            energy, forces = function(model.positions)
            result = Result(float(energy), np.asarray(forces))
        return result

    return task


def lightning(model: Model) -> Task:
    """A PennyLane QNode on `lightning.qubit` with adjoint gradients.

    Of the interfaces autograd is the fastest: measured on water 36 ms, jitted JAX 97 ms, JAX
    without jit 470 ms. The couplings are constants, so that the only gradients asked for are
    those that forces need.
    """
    from autograd import value_and_grad
    from pennylane import numpy as pnp

    node, parameters = _qnode(model), model.potential.parameters

    def energy(positions: Any) -> Any:
        (value,) = node(parameters.couplings, _angles(model, positions))
        return parameters.weights[0] * value + parameters.offset

    function = value_and_grad(energy)

    def task(n: int) -> Result:
        for _ in range(n):
            value, gradient = function(pnp.array(model.positions, requires_grad=True))
        return Result(float(value), -np.asarray(gradient))

    return task


def default_qubit(model: Model) -> Task:
    """A PennyLane QNode on `default.qubit`, by backpropagation through jitted JAX.

    The fastest way of that simulator, once it is compiled.
    """
    import jax
    import jax.numpy as jnp

    from qmd.potentials import reference

    architecture, parameters = model.potential.architecture, model.potential.parameters
    node = reference.qnode(architecture.circuit, diff_method="backprop", interface="jax")
    couplings = jnp.asarray(parameters.couplings)

    def energy(positions: Any) -> Any:
        angles = reference.spherical(architecture.features, parameters.scales, positions)
        (value,) = node(couplings, angles)
        return parameters.weights[0] * value + parameters.offset

    function = jax.jit(jax.value_and_grad(energy))

    def task(n: int) -> Result:
        with jax.numpy_dtype_promotion("standard"):  # PennyLane mixes real and complex numbers
            for _ in range(n):
                value, gradient = function(model.positions)
                result = Result(float(value), -np.asarray(gradient))
        return result

    return task


def lightning_device(model: Model) -> Task:
    """The simulator under that QNode: values and adjoint Jacobian of a tape made beforehand.

    No forces: making the tape and the chain rule from gate angles to positions are left out. It
    tells how much of the time of `lightning` is Python.
    """
    import pennylane as qml
    from pennylane import numpy as pnp
    from pennylane.devices import ExecutionConfig

    node, parameters = _qnode(model), model.potential.parameters
    angles = _angles(model, pnp.array(model.positions, requires_grad=True))
    tape = qml.workflow.construct_tape(node, level="device")(parameters.couplings, angles)
    config = ExecutionConfig(gradient_method="adjoint", use_device_gradient=True)

    def task(n: int) -> Result:
        for _ in range(n):
            (value,), _ = node.device.execute_and_compute_derivatives([tape], config)
        return Result(float(parameters.weights[0] * value + parameters.offset), None)

    return task


def _qnode(model: Model) -> Any:
    import pennylane as qml

    from qmd.potentials import reference

    circuit = model.potential.architecture.circuit
    device = qml.device("lightning.qubit", wires=circuit.n_qubits)
    return reference.qnode(circuit, device, diff_method="adjoint", interface="autograd")


def _angles(model: Model, positions: Any) -> Any:
    """`reference.spherical` for autograd: (r, theta, phi) of each vector, (1, n_vectors, 3)."""
    from pennylane import numpy as pnp

    features = model.potential.architecture.features
    scales = model.potential.parameters.scales[0, list(features.scale_index)]
    v = scales[:, None] * (np.array(features.weights) @ positions)
    r = pnp.sqrt(pnp.sum(v**2, axis=-1))
    return pnp.stack([r, pnp.arccos(v[:, 2] / r), pnp.arctan2(v[:, 1], v[:, 0])], axis=-1)[None]
