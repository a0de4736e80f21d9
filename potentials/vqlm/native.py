"""Native kernel of the generic circuit: energy and forces in Numba, by the adjoint method.

In the X basis an encoding is a phase for each basis state, P, and a layer is a matrix, U::

    psi_0 = P_0 / sqrt N,    psi_d = P_d U_d psi_{d-1},    lambda_D = s Z_0 psi_D,
    lambda_{d-1} = U_d^+ P_d^* lambda_d,    dE/dphi_q = sum_d a_dq Im <lambda_d| X_q |psi_d>

Nothing is allocated per call: `program` holds sizes, offsets and the atoms of the coordinates,
`workspace` constants, then scratch. A vector of length N is its real, then its imaginary parts.
"""

import math
from typing import Any

import numpy as np

from qmd.integrators import FORCE_SIGNATURE, Force

from ..compilation import inner, when_needed
from ..contract import fill
from .vqlm import Vqlm, layer_matrices, signs

# fmt: off
(N_ATOMS, N_QUBITS, N_LAYERS, LOWS, WIDTHS, SCALES, SIGNS, MATRICES, HEAD, ANGLES, SLOPES,
 TORQUES, PHASES, STATES, ADJOINT, SCRATCH, COORDINATES) = range(17)
# fmt: on
NO_ATOM = -1
"""Third atom of a distance."""
COLLINEAR = 1e-15
"""Threshold for collinear bonds; see `jax_energy.COLLINEAR`."""


def native_kernel(model: Vqlm) -> Force:
    """Return the native kernel of a generic circuit.

    Raises
    ------
    ValueError
        If the parameters do not fit.
    """
    model.check()
    n, d, size = model.n_qubits, model.n_layers, 2**model.n_qubits
    low, high = np.array(model.ranges).T
    real, imaginary = layer_matrices(model.parameters)
    matrices = np.block([[real, -imaginary], [imaginary, real]])
    parameters = model.parameters
    constants = {
        LOWS: low,
        WIDTHS: high - low,
        SCALES: parameters.scales,
        SIGNS: signs(n).T,
        MATRICES: np.stack([matrices.swapaxes(1, 2), matrices], axis=1),
        HEAD: np.array([parameters.slope, parameters.offset]),
    }
    scratch = {ANGLES: n, SLOPES: n, TORQUES: n, PHASES: 2 * size * (d + 1)}
    scratch |= {STATES: 2 * size * (d + 1), ADJOINT: 2 * size, SCRATCH: 2 * size}
    program = np.empty(COORDINATES + 3 * n, np.int64)
    program[[N_ATOMS, N_QUBITS, N_LAYERS]] = model.n_atoms, n, d
    program[COORDINATES:] = [a for atoms in model.coordinates for a in (*atoms, NO_ATOM)[:3]]
    lengths = {place: np.size(values) for place, values in constants.items()} | scratch
    program[list(lengths)] = np.cumsum([0, *lengths.values()])[:-1]
    workspace = np.zeros(sum(lengths.values()))
    filled = np.concatenate([np.ravel(values) for values in constants.values()])
    workspace[: filled.size] = filled
    return Force(energy_and_forces(), program, workspace)


@inner
def _distance(x: Any, i: int, j: int) -> Any:
    return math.sqrt((x[j, 0] - x[i, 0]) ** 2 + (x[j, 1] - x[i, 1]) ** 2 + (x[j, 2] - x[i, 2]) ** 2)


@inner
def _bonds(x: Any, i: int, j: int, k: int) -> Any:
    """Both bonds a and b of the angle i-j-k, and a x b."""
    a0, a1, a2 = x[i, 0] - x[j, 0], x[i, 1] - x[j, 1], x[i, 2] - x[j, 2]
    b0, b1, b2 = x[k, 0] - x[j, 0], x[k, 1] - x[j, 1], x[k, 2] - x[j, 2]
    normal = a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0
    return (a0, a1, a2), (b0, b1, b2), normal


@inner
def _dot(a: Any, b: Any) -> Any:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@inner
def _angles(w: Any, x: Any, program: Any) -> None:
    """phi of every qubit, and its slope against the coordinate: +-pi / width."""
    for q in range(program[N_QUBITS]):
        c = COORDINATES + 3 * q
        i, j, k = program[c], program[c + 1], program[c + 2]
        if k == NO_ATOM:
            value = _distance(x, i, j)
        else:
            a, b, normal = _bonds(x, i, j, k)
            value = math.atan2(math.sqrt(_dot(normal, normal)), _dot(a, b))
        width = w[program[WIDTHS] + q]
        t = (value - w[program[LOWS] + q]) / width
        t -= 2.0 * np.floor(t / 2.0)
        w[program[ANGLES] + q] = math.pi * (t if t <= 1 else 2 - t)
        w[program[SLOPES] + q] = math.pi / width if t <= 1 else -math.pi / width


@inner
def _phases(w: Any, program: Any) -> None:
    """P of every encoding; turning all signs of a state conjugates its phase."""
    n, size = program[N_QUBITS], 1 << program[N_QUBITS]
    for d in range(program[N_LAYERS] + 1):
        phase = program[PHASES] + 2 * size * d
        for z in range(size // 2):
            half = 0.0
            for q in range(n):
                angle = w[program[SCALES] + n * d + q] * w[program[ANGLES] + q]
                half += 0.5 * w[program[SIGNS] + size * q + z] * angle
            cosine, sine = math.cos(half), math.sin(half)
            w[phase + z], w[phase + size + z] = cosine, -sine
            w[phase + size - 1 - z], w[phase + 2 * size - 1 - z] = cosine, sine


@inner
def _multiply(w: Any, y: int, x: int, columns: int, size: int) -> None:
    """y = A x, four columns at a time: LLVM checks for overlap once a loop, so few long loops."""
    for i in range(size):
        w[y + i] = 0.0
    for k in range(0, size, 4):
        x0, x1, x2, x3 = w[x + k], w[x + k + 1], w[x + k + 2], w[x + k + 3]
        column = columns + size * k
        for i in range(size):
            w[y + i] += (
                w[column + i] * x0
                + w[column + size + i] * x1
                + w[column + 2 * size + i] * x2
                + w[column + 3 * size + i] * x3
            )


@inner
def _turn(w: Any, y: int, x: int, phase: int, size: int, sign: float) -> None:
    """y = P x, or P^* x if sign is -1."""
    for i in range(size):
        a, b = w[phase + i], sign * w[phase + size + i]
        re, im = w[x + i], w[x + size + i]
        w[y + i], w[y + size + i] = a * re - b * im, a * im + b * re


@inner
def _forward(w: Any, program: Any) -> Any:
    """All psi_d; returns where the last one lies."""
    size = 1 << program[N_QUBITS]
    state, phase, matrix = program[STATES], program[PHASES], program[MATRICES]
    for i in range(2 * size):
        w[state + i] = w[phase + i] / math.sqrt(size)
    for _ in range(program[N_LAYERS]):
        _multiply(w, program[SCRATCH], state, matrix, 2 * size)
        state, phase, matrix = state + 2 * size, phase + 2 * size, matrix + 8 * size * size
        _turn(w, state, program[SCRATCH], phase, size, 1.0)
    return state


@inner
def _observe(w: Any, state: int, program: Any) -> Any:
    """Energy without the offset; writes lambda_D. Z flips a sign of the X basis."""
    size, adjoint, slope = 1 << program[N_QUBITS], program[ADJOINT], w[program[HEAD]]
    total = 0.0
    for i in range(size):
        flipped = state + (i ^ (size // 2))
        w[adjoint + i], w[adjoint + size + i] = slope * w[flipped], slope * w[flipped + size]
        total += w[adjoint + i] * w[state + i] + w[adjoint + size + i] * w[state + size + i]
    return total


@inner
def _collect(w: Any, state: int, d: int, program: Any) -> None:
    """Add ``a_dq Im <lambda_d| X_q |psi_d>`` to the torque of every qubit."""
    n, size, adjoint = program[N_QUBITS], 1 << program[N_QUBITS], program[ADJOINT]
    for q in range(n):
        total = 0.0
        for i in range(size):
            cross = w[adjoint + i] * w[state + size + i] - w[adjoint + size + i] * w[state + i]
            total += w[program[SIGNS] + size * q + i] * cross
        w[program[TORQUES] + q] += w[program[SCALES] + n * d + q] * total


@inner
def _backward(w: Any, state: int, program: Any) -> None:
    """dE/dphi of every qubit from lambda_D."""
    n_layers, size, adjoint = program[N_LAYERS], 1 << program[N_QUBITS], program[ADJOINT]
    for q in range(program[N_QUBITS]):
        w[program[TORQUES] + q] = 0.0
    _collect(w, state, n_layers, program)
    for d in range(n_layers, 0, -1):
        phase = program[PHASES] + 2 * size * d
        matrix = program[MATRICES] + 8 * size * size * d - 4 * size * size
        _turn(w, program[SCRATCH], adjoint, phase, size, -1.0)
        _multiply(w, adjoint, program[SCRATCH], matrix, 2 * size)
        state -= 2 * size
        _collect(w, state, d - 1, program)


@inner
def _forces(w: Any, x: Any, forces: Any, program: Any) -> None:
    """Chain rule through the coordinates."""
    fill(forces, 0.0)
    for q in range(program[N_QUBITS]):
        slope = w[program[TORQUES] + q] * w[program[SLOPES] + q]
        c = COORDINATES + 3 * q
        i, j, k = program[c], program[c + 1], program[c + 2]
        if k == NO_ATOM:
            for axis in range(3):
                pull = slope * (x[j, axis] - x[i, axis]) / _distance(x, i, j)
                forces[i, axis] += pull
                forces[j, axis] -= pull
        else:
            _bend(x, forces, i, j, k, slope)


@inner
def _bend(x: Any, forces: Any, i: int, j: int, k: int, slope: float) -> None:
    """Force of an angle: ``a x n / (|n| a^2)`` and ``n x b / (|n| b^2)`` are its gradients."""
    a, b, normal = _bonds(x, i, j, k)
    length = math.sqrt(_dot(normal, normal))
    if length <= COLLINEAR:
        return
    factor_a, factor_b = slope / (length * _dot(a, a)), slope / (length * _dot(b, b))
    for axis in range(3):
        after, last = (axis + 1) % 3, (axis + 2) % 3
        at_i = factor_a * (a[after] * normal[last] - a[last] * normal[after])
        at_k = factor_b * (normal[after] * b[last] - normal[last] * b[after])
        forces[i, axis] -= at_i
        forces[j, axis] += at_i + at_k
        forces[k, axis] -= at_k


@when_needed(FORCE_SIGNATURE)
def energy_and_forces(
    positions: Any, cell: Any, forces: Any, virial: Any, program: Any, workspace: Any
) -> Any:
    """Energy (eV) of a generic circuit; writes the forces (eV/angstrom).

    NaN if the number of atoms is not that of the model.
    """
    if positions.shape[0] != program[N_ATOMS] or forces.shape[0] != program[N_ATOMS]:
        fill(forces, np.nan)
        return np.nan
    _angles(workspace, positions, program)
    _phases(workspace, program)
    state = _forward(workspace, program)
    energy = _observe(workspace, state, program)
    _backward(workspace, state, program)
    _forces(workspace, positions, forces, program)
    return energy + workspace[program[HEAD] + 1]
