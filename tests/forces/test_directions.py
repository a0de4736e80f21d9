"""Calculators that are listed as honouring each direction of a cell do so; others are refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase.io
import pytest
from ase import Atoms
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.calculators.morse import MorsePotential

from qmd.errors import MismatchError
from qmd.forces.build import build_potential, parse_potential
from qmd.forces.directions import ANY_DIRECTION
from qmd.io.structure import load_system

EMT_WORDS = {"kind": "ase", "calculator": "ase.calculators.emt.EMT"}
TBLITE_WORDS = {"kind": "ase", "calculator": "tblite.ase.TBLite"}


def d3() -> Any:
    dftd3 = pytest.importorskip("dftd3.ase", reason="needs the extra reference")
    return dftd3.DFTD3(method="PBE", damping="d3bj")


def xtb() -> Any:
    tblite = pytest.importorskip("tblite.ase", reason="needs the extra reference")
    return tblite.TBLite(method="GFN1-xTB", verbosity=0)


HONOUR: dict[str, Callable[[], Any]] = {
    "ase.calculators.emt": EMT,
    "ase.calculators.lj": lambda: LennardJones(sigma=2.0, epsilon=0.1, rc=8.0),
    "ase.calculators.morse": lambda: MorsePotential(r0=1.4, rcut1=7.0, rcut2=8.0),
    "dftd3": d3,
}


def layer(height: float, along: bool, calculator: Any) -> Atoms:
    """Return a layer of graphene; `along`: repeated along the third vector too."""
    cell = [[2.46, 0, 0], [1.23, 2.1304, 0], [0, 0, height]]
    atoms = Atoms("C2", [[0, 0, 0], [0, 1.42, 0]], cell=cell, pbc=(True, True, along))
    atoms.calc = calculator
    return atoms


@pytest.mark.parametrize("name", HONOUR)
def test_calculators_of_the_list_see_nothing_across_a_vacuum(name: str) -> None:
    # Layers at the distances of graphite act on each other in each of these methods.
    assert name in ANY_DIRECTION
    near, far, crystal = (
        layer(height, along, HONOUR[name]()).get_potential_energy()
        for height, along in ((3.4, False), (5.0, False), (3.4, True))
    )
    assert near == pytest.approx(far, abs=1e-12)
    assert abs(crystal - near) > 1e-4


def test_tblite_takes_a_slab_for_a_crystal_and_is_not_in_the_list() -> None:
    slab, crystal = (
        layer(6.0, along, xtb()).get_potential_energy() for along in (False, True)
    )  # fmt: skip
    assert slab == pytest.approx(crystal, abs=1e-9)
    assert not any("tblite.ase.TBLite".startswith(f"{name}.") for name in ANY_DIRECTION)


@pytest.mark.parametrize("terms", [[EMT_WORDS, TBLITE_WORDS], [TBLITE_WORDS, EMT_WORDS]])
def test_a_sum_of_unlike_calculators_is_refused_for_a_slab(tmp_path: Path, terms: Any) -> None:
    atoms = layer(12.0, False, None)
    ase.io.write(tmp_path / "slab.extxyz", atoms)
    slab = load_system("slab.extxyz", tmp_path, periodic=True)
    with pytest.raises(MismatchError, match=r"\(TTF\), which tblite.ase.TBLite is not known"):
        build_potential(parse_potential({"kind": "sum", "terms": terms}), slab, tmp_path)
