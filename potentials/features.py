"""Features of the siVQLM: positions -> one vector per encoding gate, linear in positions."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LinearVectors:
    """``v_k = alpha_s(k) sum_i C_ki r_i``: relative position vectors with trainable scales.

    Parameters
    ----------
    weights : tuple of tuples, shape (n_vectors, n_atoms)
        C; every row sums to zero, so that the vectors do not change under translation.
    scale_index : tuple of int, shape (n_vectors,)
        Which of the trainable scales alpha (1/angstrom) multiplies each vector.

    Raises
    ------
    ValueError
        If the shapes disagree or a row does not sum to zero.
    """

    weights: tuple[tuple[float, ...], ...]
    scale_index: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.weights) != len(self.scale_index) or len({len(w) for w in self.weights}) != 1:
            raise ValueError("`weights` must be (n_vectors, n_atoms) and match `scale_index`.")
        if min(self.scale_index) < 0:
            raise ValueError("Scales count from 0.")
        for row in self.weights:
            if not abs(sum(row)) < 1e-12:
                raise ValueError(f"Each row of `weights` must sum to 0, but one is {row}.")

    @property
    def n_atoms(self) -> int:
        """Atoms whose positions are the input."""
        return len(self.weights[0])

    @property
    def n_vectors(self) -> int:
        """Vectors of one encoding."""
        return len(self.weights)

    @property
    def n_scales(self) -> int:
        """Trainable scales of one encoding."""
        return 1 + max(self.scale_index)
