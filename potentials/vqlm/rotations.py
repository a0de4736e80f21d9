"""Generic circuits as Pauli rotations, for analyses."""

from math import pi

from ..rotations import Gate, Rotation, RotationProgram


def rotations(n_qubits: int, n_layers: int) -> RotationProgram:
    """Return a generic circuit as Pauli rotations, with all scales of the inputs set to one.

    The parameters are those of each layer: the rotations, then the coupling.
    """
    gates: list[Gate] = _encoding(n_qubits)
    for layer in range(n_layers):
        first = layer * (n_qubits + 1)
        gates += [Rotation((((q, "Y"),),), "parameter", first + q, 0.5) for q in range(n_qubits)]
        ring = tuple(((q, "Z"), ((q + 1) % n_qubits, "Z")) for q in range(n_qubits))
        gates.append(Rotation(ring, "parameter", first + n_qubits, 0.5))
        gates += _encoding(n_qubits)
    return RotationProgram(
        n_qubits=n_qubits,
        gates=tuple(gates),
        observables=((((0, "Z"),),),),
        periods=(2 * pi,) * (n_layers * (n_qubits + 1)),
        n_inputs=n_qubits,
        frequencies=tuple(range(n_qubits)),
    )


def _encoding(n_qubits: int) -> list[Gate]:
    return [Rotation((((q, "X"),),), "input", q, 0.5) for q in range(n_qubits)]
