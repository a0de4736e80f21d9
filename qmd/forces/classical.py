"""Classical terms of an input as leaves of a tree."""

from collections.abc import Sequence
from math import pi

from qmd.forces.config import (
    ClassicalConfig,
    HarmonicAngleConfig,
    HarmonicBondConfig,
    LennardJonesConfig,
    MorseConfig,
    PointChargesConfig,
)
from qmd.potentials import (
    HarmonicAngles,
    HarmonicBonds,
    LennardJones,
    Model,
    MorseBonds,
    PointCharges,
)


def classical_model(config: ClassicalConfig, n_atoms: int) -> Model:
    """The leaf of a classical term in a system of `n_atoms`.

    Raises
    ------
    ValueError
        If it names atoms that are not there, or one twice.
    """
    match config:
        case MorseConfig():
            bonds = _pairs(config.bonds)
            numbers = config.depth_eV, config.steepness_per_A, config.length_A
            return MorseBonds(n_atoms, bonds, *numbers)
        case HarmonicBondConfig():
            bonds = _pairs(config.bonds)
            return HarmonicBonds(n_atoms, bonds, config.stiffness_eV_per_A2, config.length_A)
        case HarmonicAngleConfig():
            angles = tuple((i, vertex, k) for i, vertex, k in config.angles)
            stiffness, angle = config.stiffness_eV_per_rad2, config.angle_deg * pi / 180
            return HarmonicAngles(n_atoms, angles, stiffness, angle)
        case LennardJonesConfig():
            atoms = tuple(range(n_atoms) if config.atoms is None else config.atoms)
            return LennardJones(n_atoms, atoms, config.epsilon_eV, config.sigma_A)
        case PointChargesConfig():
            return _point_charges(config, n_atoms)


def _pairs(bonds: Sequence[Sequence[int]]) -> tuple[tuple[int, int], ...]:
    return tuple((i, j) for i, j in bonds)


def _point_charges(config: PointChargesConfig, n_atoms: int) -> PointCharges:
    if len(config.charges_e) != n_atoms:
        raise ValueError(f"it needs {n_atoms} charges, but got {len(config.charges_e)}.")
    molecules = [[atom] for atom in range(n_atoms)]
    if config.molecules is not None:
        molecules = config.molecules
    if sorted(atom for members in molecules for atom in members) != list(range(n_atoms)):
        raise ValueError(f"its molecules must hold each of the atoms 0 to {n_atoms - 1} once.")
    of_atom = {atom: k for k, members in enumerate(molecules) for atom in members}
    return PointCharges(tuple(config.charges_e), tuple(of_atom[atom] for atom in range(n_atoms)))
