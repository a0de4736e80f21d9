"""Results of foreign code, checked before they are used or stored."""

from typing import Any

import numpy as np

from qmd.errors import NumericalError
from qmd.typing import Array


def checked(name: str, energy: Any, forces: Any, shape: tuple[int, ...]) -> tuple[float, Array]:
    """Return an energy (eV) and forces (eV/angstrom) of their own memory, or refuse them.

    Parameters
    ----------
    name : str
        Name of the method, for messages.
    energy : number
        An array of one element counts as a number.
    forces : array
        A masked array is taken if nothing in it is masked.
    shape : tuple
        Shape that the forces must have, (n_atoms, 3).

    Raises
    ------
    NumericalError
        If a value has another type or shape, is masked, or is not finite.
    """
    try:
        scalar: Any = np.ma.asarray(energy, float)
        vectors: Any = np.ma.asarray(forces, float)
    except (TypeError, ValueError):
        raise NumericalError(f"{name} returned an energy or forces that are no numbers") from None
    if scalar.size != 1:
        raise NumericalError(f"{name} returned an energy of shape {scalar.shape}; expected one")
    if vectors.shape != shape:
        raise NumericalError(
            f"{name} must return forces of shape {shape}, but returned {vectors.shape}"
        )
    for what, values in (("energy", scalar), ("force", vectors)):
        if np.ma.getmaskarray(values).any():
            raise NumericalError(f"{name} returned a masked {what}")
        if not np.isfinite(values.data).all():
            raise NumericalError(f"{name} returned a {what} that is not finite")
    return float(scalar.data.reshape(())), np.array(vectors.data, order="C")


def checked_stress(name: str, stress: Any) -> Array:
    """Return a stress (eV/A^3) of its own memory, shape (3, 3), or refuse it.

    Parameters
    ----------
    name : str
        Name of the method, for messages.
    stress : array, shape (3, 3)
        Symmetric within rounding of single precision.

    Raises
    ------
    NumericalError
        If it has another type or shape, is not finite, or is not symmetric.
    """
    try:
        tensor = np.array(stress, float)
    except (TypeError, ValueError):
        raise NumericalError(f"{name} returned a stress that is no numbers") from None
    if tensor.shape != (3, 3):
        raise NumericalError(
            f"{name} must return a stress of shape (3, 3), but returned {tensor.shape}"
        )
    if not np.isfinite(tensor).all():
        raise NumericalError(f"{name} returned a stress that is not finite")
    if not np.abs(tensor - tensor.T).max() <= 1e-5 * max(1e-6, np.abs(tensor).max()):
        raise NumericalError(f"{name} returned a stress that is not symmetric")
    return tensor
