"""Directions of a cell that each method honours: some take a slab for a crystal without a word."""

from qmd.errors import MismatchError
from qmd.system.cell import is_full, periodic
from qmd.system.system import System

ANY_DIRECTION = (
    "ase.calculators.emt", "ase.calculators.lj", "ase.calculators.morse", "ase.calculators.eam",
    "ase.calculators.harmonic", "ase.calculators.tip3p", "dftd3", "dftd4",
)  # fmt: skip
"""Modules, or packages, whose calculators honour each direction on its own."""


def require_directions(calculator: str, system: System) -> None:
    """Refuse a system that is periodic in some directions, if a calculator may take all.

    Parameters
    ----------
    calculator : str
        Class with its module, such as ``tblite.ase.TBLite``, which takes a slab as a crystal.
    system : System

    Raises
    ------
    MismatchError
        If the calculator is not known to honour each direction.
    """
    if not system.is_periodic or is_full(system.cell):
        return
    if any(calculator.startswith(f"{module}.") for module in ANY_DIRECTION):
        return
    along = "".join("FT"[direction] for direction in periodic(system.cell))
    raise MismatchError(
        f"{system.name} is periodic along some lattice vectors only ({along}), which {calculator} "
        "is not known to honour",
        hint="use a calculator that does, or a cell periodic in all directions with a vacuum",
    )
