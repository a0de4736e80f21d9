"""Atom-centred networks: a small circuit for each atom."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, ValidationInfo, field_validator

from qmd.errors import MismatchError
from qmd.train.architectures.base import (
    ArchitectureConfig,
    Channels,
    Cutoff,
    Layers,
    ModelTraits,
    Symbol,
)

if TYPE_CHECKING:
    from qmd.potentials import AtomCentredNetwork, PerAtomSum
    from qmd.train.problem import Frames
    from qmd.typing import Array


class AtomCentredNetworkConfig(ArchitectureConfig):
    """Small circuit for each atom on vector densities of its neighbours, shared by element."""

    kind: Literal["qnn-revised"]
    """Atom-centred network on vector densities."""
    species: Annotated[list[Symbol], Field(min_length=2, max_length=100)] | None = None
    """Chemical symbols in the atom order of the labels; default: those of the labels, for a
    potential of elements that serves any number of atoms, in cells or not."""
    elements: Annotated[list[Symbol], Field(min_length=1, max_length=20)] | None = None
    """Elements that have parameters; default: those of the atoms."""
    qubits: Channels = 4
    """Number of qubits of a circuit, an even number."""
    layers: Layers = 4
    """Number of trainable layers."""
    radial: Annotated[int, Field(ge=2, le=100)] = 12
    """Number of Gaussians of each radial function."""
    cutoff_A: Cutoff = 5.0
    """Cut-off radius of the neighbours (angstrom)."""
    scalars: bool = True
    """If true, couplings and weights of the observables also depend on the neighbours."""
    rank: Literal[1, 2] = 1
    """Highest rank of the densities of the neighbours: 1 for vectors; 2 for traceless matrices as
    well, in gates and observables on pairs of qubits."""

    @field_validator("elements")
    @classmethod
    def _has_its_own(cls, value: list[str] | None, info: ValidationInfo) -> list[str] | None:
        if value is not None and not set(info.data.get("species") or []) <= set(value):
            raise ValueError("must have all elements of model.species")
        return value

    control: Literal["uncoupled", "frozen"] | None = None
    """Ablation (needs `gauss_newton` stages): `uncoupled` removes the qubit couplings; `frozen`
    keeps the random circuit and trains only the weights of its observables. Default: none."""

    def traits(self, folder: Path) -> ModelTraits:
        return ModelTraits(tuple(self.species or ()), True, "")

    def on_labels(self, species: tuple[str, ...]) -> Self:
        if self.species is not None:
            return self
        known = self.elements or sorted(set(species))
        if missing := set(species) - set(known):
            raise MismatchError(
                f"the labels have atoms of {', '.join(sorted(missing))}, which are not among "
                "model.elements"
            )
        return self.model_copy(update={"species": list(species), "elements": known})

    @property
    def serves_elements(self) -> bool:
        return self.species is None

    def first_model(self, folder: Path, frames: "Frames", seed: int) -> "AtomCentredNetwork":
        from qmd.potentials import atom_centred

        assert self.species is not None  # of the labels by now

        network = atom_centred.revised(
            tuple(self.species), seed, elements=tuple(self.elements or self.species),
            n_qubits=self.qubits, n_layers=self.layers,
            n_radial=self.radial, cutoff=self.cutoff_A,
            scalars=self.scalars, rank=self.rank, energy=float(np.mean(frames.energies)),
        )  # fmt: skip
        return atom_centred.uncoupled(network) if self.control == "uncoupled" else network

    @property
    def known_elements(self) -> tuple[str, ...]:
        return tuple(sorted(set(self.elements or self.species or ())))

    def trainable_mask(self, model: Any) -> "Array | None":
        """Return the mask of the parameters that the ablation leaves to train; None without one."""
        if self.control is None:
            return None
        from jax.flatten_util import ravel_pytree

        p = model.parameters
        last = np.arange(model.circuit.n_layers + 1)[:, None, None] == model.circuit.n_layers
        kept = 0.0 if self.control == "frozen" else 1.0
        fixed = p._replace(
            vectors=np.full_like(p.vectors, kept),
            scalars=np.ones_like(p.scalars) * last * kept,
            couplings=np.zeros_like(p.couplings),
            tensors=None if p.tensors is None else np.ones_like(p.tensors) * last * kept,
        )
        ones = fixed._replace(weights=np.ones_like(p.weights), offsets=np.ones_like(p.offsets))
        return np.asarray(ravel_pytree(ones)[0])


class InitialConfig(ArchitectureConfig):
    """Small circuit for each atom, with one qubit for each of its nearest neighbours, by index."""

    kind: Literal["qnn-initial"]
    """Atom-centred network with one qubit per neighbour."""
    species: Annotated[list[Symbol], Field(min_length=2, max_length=100)]
    """Chemical symbols in the atom order of the labels."""
    qubits: Channels = 4
    """Number of neighbours of an atom, an even number."""
    layers: Layers = 4
    """Number of trainable layers."""

    @field_validator("qubits")
    @classmethod
    def _at_most_all_neighbours(cls, value: int, info: ValidationInfo) -> int:
        others = len(info.data.get("species", [])) - 1
        if value > others:
            raise ValueError(f"an atom has {others} neighbours")
        return value

    def traits(self, folder: Path) -> ModelTraits:
        return ModelTraits(tuple(self.species), True, "")

    def first_model(self, folder: Path, frames: "Frames", seed: int) -> "PerAtomSum":
        from qmd.potentials import atom_centred

        return atom_centred.initial(
            tuple(self.species), seed, frames.positions[0], n_qubits=self.qubits,
            n_layers=self.layers, energy=float(np.mean(frames.energies)),
        )  # fmt: skip
