"""Masses of isotopes: those of heavy hydrogen, and those that an input gives."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from ase.data import atomic_masses, chemical_symbols

from qmd.errors import InputError
from qmd.system.system import System
from qmd.typing import Array

HEAVY_HYDROGEN_U = {"D": 2.01410177812, "T": 3.01604928199}
"""Masses (u) of deuterium and tritium: W. J. Huang et al., Chinese Phys. C 45, 030002 (2021)."""
LIGHTEST_U, HEAVIEST_U = 0.1, 1000.0
"""Masses beyond are in another unit: hydrogen has 1.67e-27 kg, or 1837 electron masses."""
SAME_U = 1e-3
"""Masses that differ less are one mass, with other digits."""


def with_masses(system: System, masses_u: Sequence[float] | Mapping[str, float]) -> System:
    """Return `system` with other masses; its momenta stay.

    Parameters
    ----------
    system : System
    masses_u : sequence or mapping
        A mass (u) for each atom, or by symbol. `D` and `T` are the atoms that the structure file
        calls so, `H` the other hydrogens.

    Raises
    ------
    InputError
        If a mass is missing, belongs to no atom, or contradicts the structure file.
    """
    if isinstance(masses_u, Mapping):
        masses = _by_symbol(system, masses_u)
    else:
        masses = np.array(masses_u, float)
        if len(masses) != system.n_atoms:
            raise InputError(
                f"system.masses_u has {len(masses)} masses, but {system.name} has "
                f"{system.n_atoms} atoms"
            )
        _refuse_contradiction(system, masses)
    velocities = system.velocities
    if velocities is not None:
        velocities = velocities * (system.masses / masses)[:, None]
    return replace(system, masses=masses, velocities=velocities)


def _by_symbol(system: System, masses_u: Mapping[str, float]) -> Array:
    masses, symbols = np.array(system.masses), _symbols(system)
    for symbol, mass in masses_u.items():
        chosen = [atom for atom, found in enumerate(symbols) if found == symbol]
        if not chosen:
            raise InputError(
                f"system.masses_u names {symbol}, but {system.name} has "
                f"{', '.join(dict.fromkeys(symbols))}"
            )
        masses[chosen] = mass
    named = np.array([symbol in masses_u and symbol in HEAVY_HYDROGEN_U for symbol in symbols])
    _refuse_contradiction(system, np.where(named, system.masses, masses))
    return masses


def _symbols(system: System) -> list[str]:
    """Return the symbols of the atoms, with D and T for hydrogens that the file calls so."""
    names = {mass: symbol for symbol, mass in HEAVY_HYDROGEN_U.items()}
    return [
        names.get(float(mass), symbol) if symbol == "H" else symbol
        for symbol, mass in zip(system.symbols, system.masses, strict=True)
    ]


def _refuse_contradiction(system: System, masses: Array) -> None:
    """Refuse another mass for an atom whose mass the structure file states, as an isotope's."""
    stated = np.abs(system.masses - atomic_masses[system.numbers]) > SAME_U
    wrong = stated & (np.abs(system.masses - masses) > SAME_U)
    if wrong.any():
        atom = int(np.argmax(wrong))
        raise InputError(
            f"system.masses_u gives atom {atom + 1} ({system.symbols[atom]}) {masses[atom]:g} u, "
            f"but {system.name} states {system.masses[atom]:g} u",
            hint="state the mass in one place",
        )


def check_masses(value: object) -> None:
    """Raise ValueError unless `value` is a list of masses (u), or a mapping of symbols to them."""
    if isinstance(value, Mapping):
        known = {*chemical_symbols[1:], *HEAVY_HYDROGEN_U}
        unknown = next((key for key in value if key not in known), None)
        if unknown is not None:
            raise ValueError(f"names {unknown}, which is no element, D or T")
        masses = list(value.values())
    elif isinstance(value, list):
        masses = value
    else:
        raise ValueError("must be a list with a mass for each atom, or a mapping as {H: 2.014}")
    if not masses:
        raise ValueError("is empty; remove it")
    for mass in masses:
        if isinstance(mass, bool) or not isinstance(mass, int | float):
            raise ValueError(f"has {mass!r} for a mass; expected a number (u)")
        if not LIGHTEST_U <= mass <= HEAVIEST_U:
            raise ValueError(
                f"has a mass of {mass:g}; expected {LIGHTEST_U:g} to {HEAVIEST_U:g} (u)"
            )
