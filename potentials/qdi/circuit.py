"""Circuit of a quantum depth-infused (QDI) layer as data [1]_.

With ``VAR`` the strongly entangling layers of PennyLane [2]_, ``depth`` of them in each block::

    VAR_0;  for each chunk c of n_qubits features:  RZ(x_cq) on every qubit q, then VAR_(c+1)

on ``|0...0>``, and ``<Y_q>`` of every qubit. A strongly entangling layer is
``Rot(a, b, c) = RZ(c) RY(b) RZ(a)`` on every qubit, then CNOT gates from each qubit q to
``q + r`` around the ring; r is 1 in the first layer of a block and grows by one from layer to
layer, up to ``n_qubits - 1``, then begins anew.

References
----------
.. [1] G. Laskaris et al., Computational Materials Science (2026) 114742, arXiv:2602.16908.
.. [2] M. Schuld, A. Bocharov, K. Svore, N. Wiebe, Phys. Rev. A 101, 032308 (2020).
"""

from dataclasses import dataclass
from math import ceil, pi

from ..rotations import Fixed, Gate, Rotation, RotationProgram

MAX_QUBITS, MAX_FEATURES, MAX_DEPTH, MAX_UPLOADS = 12, 512, 64, 16


@dataclass(frozen=True)
class QDI:
    """Description of a QDI circuit, without its parameters.

    Parameters
    ----------
    n_qubits : int
    n_features : int
        Number of features; the last chunk is filled with zeros.
    depth : int
        Number of strongly entangling layers in each variational block.
    entangled : bool
        False leaves out the CNOT gates, as a control.
    uploads : int
        Number of times that all chunks are encoded, one after the other.

    Raises
    ------
    ValueError
        If a number is out of bounds.
    """

    n_qubits: int
    n_features: int
    depth: int = 1
    entangled: bool = True
    uploads: int = 1

    def __post_init__(self) -> None:
        bounds = {"n_qubits": MAX_QUBITS, "n_features": MAX_FEATURES, "depth": MAX_DEPTH,
                  "uploads": MAX_UPLOADS}  # fmt: skip
        for name, most in bounds.items():
            if not 1 <= getattr(self, name) <= most:
                raise ValueError(f"`{name}` must be 1 to {most}, but it is {getattr(self, name)}.")

    @property
    def n_chunks(self) -> int:
        """Number of chunks of features."""
        return ceil(self.n_features / self.n_qubits)

    @property
    def n_blocks(self) -> int:
        """Number of variational blocks."""
        return self.uploads * self.n_chunks + 1

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of the angles: (n_blocks, depth, n_qubits, 3), a, b and c of each Rot."""
        return self.n_blocks, self.depth, self.n_qubits, 3

    @property
    def n_parameters(self) -> int:
        """Number of trained angles, ``3 n_qubits depth n_blocks``."""
        return 3 * self.n_qubits * self.depth * self.n_blocks

    def range_of(self, layer: int) -> int:
        """Return the distance from control to target in a layer of a block; 0: no CNOT gates."""
        if not self.entangled or self.n_qubits == 1:
            return 0
        return layer % (self.n_qubits - 1) + 1


def rotations(qdi: QDI, n_blocks: int | None = None) -> RotationProgram:
    """Return the first blocks as Pauli rotations, or all; parameters in the order of `QDI.shape`.

    The features are inputs even where their chunk is left out.
    """
    n_blocks = qdi.n_blocks if n_blocks is None else n_blocks
    gates: list[Gate] = _block(qdi, 0)
    for block in range(1, n_blocks):
        chunk = (block - 1) % qdi.n_chunks
        for q in range(qdi.n_qubits):
            feature = chunk * qdi.n_qubits + q
            if feature < qdi.n_features:
                gates.append(Rotation((((q, "Z"),),), "input", feature, 0.5))
        gates += _block(qdi, block)
    return RotationProgram(
        n_qubits=qdi.n_qubits,
        gates=tuple(gates),
        observables=tuple((((q, "Y"),),) for q in range(qdi.n_qubits)),
        periods=(2 * pi,) * (qdi.n_parameters // qdi.n_blocks * n_blocks),
        n_inputs=qdi.n_features,
        frequencies=tuple(range(qdi.n_features)),
    )


def _block(qdi: QDI, block: int) -> list[Gate]:
    gates: list[Gate] = []
    for layer in range(qdi.depth):
        for q in range(qdi.n_qubits):
            first = 3 * ((block * qdi.depth + layer) * qdi.n_qubits + q)
            gates += [
                Rotation((((q, axis),),), "parameter", first + k, 0.5)
                for k, axis in enumerate("ZYZ")
            ]
        if step := qdi.range_of(layer):
            gates += [Fixed("CNOT", (q, (q + step) % qdi.n_qubits)) for q in range(qdi.n_qubits)]
    return gates
