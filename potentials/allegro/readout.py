"""The circuit between the features of a pair and its energy [1]_.

References
----------
.. [1] Laskaris et al., Computational Materials Science (2026).
"""

import math
from dataclasses import dataclass

MAX_QUBITS, MAX_BLOCKS = 8, 100


@dataclass(frozen=True)
class ReadoutCircuit:
    """A trained block, then for each chunk of features an upload and another block.

    A block is `depth` layers of a rotation of each qubit and a ring of CNOTs (PennyLane's
    `StronglyEntanglingLayers`); an upload is RZ of one feature on each qubit. Pauli Y of each qubit
    is measured. The last chunk is filled up with zeros.

    Parameters
    ----------
    n_features : int
    n_qubits : int
    depth : int
        Layers of a block.
    entangled : bool
        False: without the CNOTs.
    n_times : int
        Number of times that all features are uploaded.

    Raises
    ------
    ValueError
        If a number is out of range.
    """

    n_features: int
    n_qubits: int
    depth: int
    entangled: bool = True
    n_times: int = 1

    def __post_init__(self) -> None:
        numbers = self.n_features, self.n_qubits, self.depth, self.n_times
        if min(numbers) < 1 or self.n_qubits > MAX_QUBITS:
            raise ValueError(
                f"A read-out must have features, 1 to {MAX_QUBITS} qubits, layers and uploads, but "
                f"has {self.n_features}, {self.n_qubits}, {self.depth} and {self.n_times}."
            )
        if self.n_blocks * self.depth > MAX_BLOCKS:
            raise ValueError(
                f"A read-out must have at most {MAX_BLOCKS} layers in all blocks, but has "
                f"{self.n_blocks * self.depth}."
            )

    @property
    def n_chunks(self) -> int:
        """Number of uploads of all features, once."""
        return math.ceil(self.n_features / self.n_qubits)

    @property
    def n_blocks(self) -> int:
        """Number of trained blocks."""
        return self.n_times * self.n_chunks + 1

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of the trained angles."""
        return self.n_blocks, self.depth, self.n_qubits, 3
