"""ASE calculator that contains its potential, written by `qmd potential export --to ase`.

It requires only ase, numpy, jax and flatbuffers. In the folder of this file, or with that folder on
the path::

    from THIS_FILE import ExportedPotential

    atoms.calc = ExportedPotential()

Units are ASE's: angstrom, eV, eV/angstrom. The file ends with `CARD`, the data sheet of the
potential, and `PROGRAM`, its energy and forces as JAX exported them.
"""

import base64
import functools
import warnings
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, CalculatorSetupError, all_changes
from jax import export

CARD: dict[str, Any]
PROGRAM: str

ENERGY_TOLERANCE, FORCE_TOLERANCE = 1e-10, 1e-8
"""Tolerances in eV and eV/angstrom; other processors differ by 1e-13, miscompilations by more."""


class ExportedPotential(Calculator):
    """Energy and forces of one molecule with the species of `CARD`, in their order.

    Parameters
    ----------
    absolute : bool
        Add `CARD["reference_energy_eV"]`, so that energies are those of the training labels
        instead of relative to the zero of the model.

    Raises
    ------
    CalculatorSetupError
        In a calculation, if the species or their order differ, or if the atoms are periodic.
    RuntimeError
        If the installed JAX does not reproduce the test vectors of `CARD`.

    Warns
    -----
    UserWarning
        If a distance leaves the domain of the training data.
    """

    implemented_properties = ["energy", "free_energy", "forces"]

    def __init__(self, *, absolute: bool = False) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.absolute = absolute
        _program()

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Fill `results`; called by ASE."""
        super().calculate(atoms, properties, system_changes)  # type: ignore[no-untyped-call]
        positions = _checked_positions(self.atoms)
        _warn_outside_domain(positions)
        energy, forces = energy_and_forces(positions)
        energy += CARD["reference_energy_eV"] if self.absolute else 0.0
        self.results = {"energy": energy, "free_energy": energy, "forces": forces}


def energy_and_forces(positions: np.ndarray) -> tuple[float, np.ndarray]:
    """Return energy (eV) and forces (eV/angstrom, (n_atoms, 3)) at `positions` (angstrom)."""
    return _call(_program(), positions)


@functools.cache
def _program() -> Callable[[np.ndarray], Any]:
    data = bytearray(zlib.decompress(base64.b64decode(PROGRAM)))
    program = jax.jit(export.deserialize(data).call)
    vectors = CARD["test_vectors"]
    for positions, energy, forces in zip(
        vectors["positions_A"], vectors["energies_eV"], vectors["forces_eV_per_A"], strict=True
    ):
        found = _call(program, np.array(positions))
        if not (
            abs(found[0] - energy) <= ENERGY_TOLERANCE
            and np.abs(found[1] - forces).max() <= FORCE_TOLERANCE
        ):
            raise RuntimeError(
                f"{CARD['name']}: JAX {jax.__version__} does not reproduce the test vectors. "
                f"Use JAX {CARD['versions']['jax']}, or export the potential again."
            )
    return program


def _call(program: Callable[[np.ndarray], Any], positions: np.ndarray) -> tuple[float, np.ndarray]:
    with jax.enable_x64(True):
        energy, forces = program(np.asarray(positions, float))
        return float(energy), np.array(forces)


def _checked_positions(atoms: Atoms | None) -> np.ndarray:
    """Return the positions of `atoms`, after a check that the potential serves them."""
    symbols = [] if atoms is None else list(atoms.symbols)
    if atoms is None or symbols != CARD["species"]:
        raise CalculatorSetupError(
            f"{CARD['name']} serves the atoms {', '.join(CARD['species'])} in this order, but got "
            f"{', '.join(symbols) or 'none'}. Reorder them: atoms[[...]]."
        )
    if atoms.pbc.any():
        raise CalculatorSetupError(
            f"{CARD['name']} serves one isolated molecule, but the atoms are periodic. "
            "Set atoms.pbc = False."
        )
    return np.array(atoms.positions)


def _warn_outside_domain(positions: np.ndarray) -> None:
    domain = CARD["domain"]
    for (i, j), (low, high) in zip(domain["pairs"], domain["stop_A"], strict=True):
        if not low <= np.linalg.norm(positions[i] - positions[j]) <= high:
            warnings.warn(
                f"{CARD['name']}: atoms {i} and {j} have left the trained domain, {low:.2f} to "
                f"{high:.2f} angstrom. Energies and forces are extrapolated.",
                stacklevel=2,
            )
