"""Potentials that other packages provide, through the entry-point group `qmd.potentials`."""

from dataclasses import dataclass

from ..tree.nodes import Model
from .package import EnergyAndForces


@dataclass(frozen=True)
class External:
    """Potential of another package: the object of an entry point, or the result of its function.

    Parameters
    ----------
    species : tuple of str
        Chemical symbols in the atom order that the potential serves.
    potential : Model or callable
        Tree, which runs natively and in JAX; or a Python function of the positions (n_atoms, 3),
        angstrom, that returns the energy (eV) and the forces (n_atoms, 3), eV/angstrom.
    citation : str
        Work to cite, one line.
    description : str
        Description, one line.
    fingerprint : str
        Identifier of data that the function reads in addition to its source, such as a file of
        weights; a run is not resumed with another one.

    Raises
    ------
    ValueError
        If a text is not one printable line, or the number of atoms of a tree is not that of the
        species.
    """

    species: tuple[str, ...]
    potential: Model | EnergyAndForces
    citation: str
    description: str = ""
    fingerprint: str = ""

    def __post_init__(self) -> None:
        texts = (self.citation, self.description, self.fingerprint, *self.species)
        if not all(isinstance(text, str) and text.isprintable() for text in texts):
            raise ValueError("Species and texts must be single printable lines.")
        if callable(self.potential):
            return
        if self.potential.n_atoms != len(self.species):
            raise ValueError(
                f"The model is for {self.potential.n_atoms} atoms, but there are "
                f"{len(self.species)} species."
            )
