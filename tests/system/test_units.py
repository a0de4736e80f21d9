"""Conversion factors: those of ASE, and within the uncertainty of CODATA those of SciPy."""

import re
from pathlib import Path

import pytest
from ase import units as ase_units
from scipy import constants

from qmd import units
from qmd.analysis.spectrum import SPEED_OF_LIGHT_CM_PER_PS
from qmd.potentials.constants import COULOMB, KCAL_PER_MOL

ROOT = Path(__file__).parents[2]
U_E, U_U, U_K, U_A = 6.1e-9, 1.2e-8, 5.7e-7, 1.2e-8
"""Relative standard uncertainties of CODATA 2014: charge, mass unit, Boltzmann, Avogadro."""
EV, U = constants.electron_volt, constants.atomic_mass


def test_factors_are_those_of_ase_to_the_last_digit() -> None:
    assert ase_units.__codata_version__ == units.CODATA
    assert units.fs == ase_units.fs and units.kB == ase_units.kB
    assert units.kcal_per_mol == ase_units.kcal / ase_units.mol
    assert units.kJ_per_mol == ase_units.kJ / ase_units.mol
    assert (units.hartree, units.bohr, units.nm) == (
        ase_units.Hartree,
        ase_units.Bohr,
        ase_units.nm,
    )


@pytest.mark.parametrize(
    ("factor", "value", "tolerance"),
    [  # sums of three standard uncertainties each, of the constants that a factor is made of
        (units.fs, 1e-5 * (EV / U) ** 0.5, 3 * (U_E + U_U) / 2),
        (units.ps, 1e-2 * (EV / U) ** 0.5, 3 * (U_E + U_U) / 2),
        (units.kB, constants.Boltzmann / EV, 3 * (U_K + U_E)),
        (units.kcal_per_mol, 1000 * constants.calorie / constants.Avogadro / EV, 3 * (U_A + U_E)),
        (units.kJ_per_mol, 1000 / constants.Avogadro / EV, 3 * (U_A + U_E)),
        # Uncertainties in CODATA 2014: 6.2e-9 and 2.3e-10; ASE computes both from other constants
        # of that set: the bohr from the masses and charges, 3 (U_E + U_U) at the most.
        (units.hartree, constants.value("Hartree energy in eV"), 3 * 6.2e-9),
        (units.bohr, constants.value("Bohr radius") * 1e10, 3 * (U_E + U_U)),
        # CODATA 2018 is exact but for the hartree (1.9e-12) and the bohr (1.5e-10), and the later
        # sets moved the bohr by 7e-10, that is by 4.5 of its uncertainties.
        (units.pyscf_hartree, constants.value("Hartree energy in eV"), 1e-12),
        (units.pyscf_bohr, constants.value("Bohr radius") * 1e10, 1e-9),
        (units.GPa, 1e9 * 1e-30 / EV, 3 * U_E),
        (units.bar, 1e5 * 1e-30 / EV, 3 * U_E),
        (units.g_per_cm3, 1e-3 * 1e-24 / U, 3 * U_U),
        # Ten digits are given; eps_0 has an uncertainty of 1.5e-10, and moved by 7e-10.
        (COULOMB, constants.e / (4e-10 * constants.pi * constants.epsilon_0), 1e-9),
        (SPEED_OF_LIGHT_CM_PER_PS, constants.c * 1e2 * 1e-12, 1e-15),  # exact
        # The Faraday constant is given with ten digits.
        (KCAL_PER_MOL, 1000 * constants.calorie / constants.Avogadro / EV, 1e-10),
    ],
)
def test_factors_are_those_of_scipy(factor: float, value: float, tolerance: float) -> None:
    assert factor == pytest.approx(value, rel=tolerance)


def test_the_two_sets_differ_as_the_page_says() -> None:
    assert units.hartree == pytest.approx(units.pyscf_hartree, rel=1e-8)
    assert units.bohr == pytest.approx(units.pyscf_bohr, rel=1e-8)
    assert units.kcal_per_mol == pytest.approx(KCAL_PER_MOL, rel=1e-8)
    page = (ROOT / "docs" / "units.md").read_text()
    for name, value in re.findall(r"`units\.(\w+)` \| ([\d.e+-]+)", page):
        assert float(value) == getattr(units, name), name


def test_no_other_module_holds_a_factor() -> None:
    # Digits that begin the factors in use, however they are scaled: eV and hartree, kcal and kJ
    # per mol, bohr, Coulomb's constant, Faraday's and Boltzmann's.
    digits = (
        r"27\.2113|0\.52917|0\.04336|0\.010364|4\.184|4184|23\.06|96\.485|96485|14\.3996|8\.617"
    )
    holders = {Path("qmd/units.py"), Path("potentials/constants.py")}
    for name in ("qmd", "integrators", "potentials"):
        for path in (ROOT / name).rglob("*.py"):
            if path.relative_to(ROOT) not in holders:
                assert not re.search(digits, path.read_text()), path
