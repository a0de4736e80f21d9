"""Contract of a potential family, which its folder has to define.

A family is a kind of leaf in a tree of potentials: its data class, its JSON form, its interpreters,
and its properties. `families` lists all of them; trees, packages, cards, audits and trainings use
the family of a leaf instead of its class.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, NamedTuple, Protocol, TypeVar

import numpy as np

if TYPE_CHECKING:
    from qmd.integrators import Force

    from .rotations import RotationProgram

Array = np.ndarray


class Leaf(Protocol):
    """A potential that is no combination of others.

    A leaf is a frozen dataclass. Its trained arrays, if any, are a `NamedTuple` called
    `parameters`, in which `offset` or `offsets` add to energies alone; all its other fields are
    hashable. Positions are in angstrom, energies in eV.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def n_atoms(self) -> int:
        """Atoms whose positions are the input."""

    def check(self) -> None:
        """Raise ValueError if the parameters have wrong shapes or are not finite."""


L = TypeVar("L", bound=Leaf)


class JsonForm(NamedTuple):
    """The JSON form of a leaf without its kind and its arrays."""

    write: Callable[[Any], dict[str, Any]]
    """Leaf -> plain JSON values by name."""
    read: Callable[[Mapping[str, Any]], dict[str, Any]]
    """The inverse: attributes by name; raises ValueError, KeyError or TypeError."""


class Work(NamedTuple):
    """The work of one energy, by which packages are refused that would take long to check."""

    terms: int = 0
    """Pairs and rotations of one layer of a circuit."""
    written: int = 0
    """Numbers that the JAX interpreter writes, gate by gate."""


class GateCounts(NamedTuple):
    """The gates of a circuit that is not one on spins."""

    two_qubit_gates: int
    cnots_at_most: int
    """Two-qubit gates compiled one by one to CNOTs."""
    shift_evaluations: int
    """Expectation values from which the parameter-shift rule gives all forces."""


@dataclass(frozen=True)
class LeafCircuit:
    """The trained circuit of a leaf, as drawings and resource counts take it."""

    n_qubits: int
    n_layers: int
    node: Callable[[int], tuple[Callable[..., Any], tuple[Any, ...]]]
    """Number of layers -> PennyLane QNode of so many, and arguments for it (angles of 1)."""
    energy_and_forces: Callable[[Array], tuple[float, Array]]
    """Positions (n_atoms, 3) of the leaf -> energy and forces by PennyLane."""
    copies: int = 1
    """Circuits of one energy."""
    spins: Any = None
    """The `Circuit`, if it is one on spins; otherwise `gates` counts its gates."""
    gates: GateCounts | None = None
    rotations: "Callable[[int], RotationProgram] | None" = None
    """Number of layers -> the circuit as Pauli rotations, for analyses; None: not analysed."""
    trained: Array | None = None
    """Values of the parameters of these rotations, (n_parameters,)."""
    encoding_vectors: Callable[[Array], Array] | None = None
    """Positions (n, n_atoms, 3) -> vectors (n, n_vectors, 3), rad, in whose lengths the energy is
    periodic; None if they are not the same multiple of a distance in all layers."""


class LeafGradient(Protocol):
    """Derivatives of the energy of a leaf by its parameters; several threads may call it."""

    def rows(self, positions: Array) -> Array:
        """Derivatives of the energies at `positions` (n, n_atoms, 3): (n, n_parameters)."""

    def sum(self, positions: Array, factors: Array) -> Array:
        """``factors @ rows(positions)`` without the rows, (n_parameters,)."""


class EvaluatedInCell(Protocol):
    """Energy, forces and virial at a geometry, with what derivatives of them need."""

    @property
    def energy(self) -> float:
        """Energy, eV."""

    @property
    def forces(self) -> Array:
        """Forces, eV/angstrom, (n_atoms, 3)."""

    @property
    def virial(self) -> Array:
        """Minus the derivative of the energy by a strain, eV, (3, 3)."""


class CellGradient(Protocol):
    """Derivatives by the parameters of a leaf in cells; several threads may call it."""

    def surroundings(self, positions: Array, cell: Array) -> Any:
        """Return what `evaluate` has to know of a geometry, whatever the parameters are."""

    def evaluate(self, around: Any) -> EvaluatedInCell:
        """Return energy, forces and virial."""

    def energy_row(self, found: Any) -> Array:
        """Return the derivatives of the energy, (n_parameters,)."""

    def slope_rows(self, found: Any, atoms: Array, axes: Array) -> Array:
        """Return the derivatives of dE/dx of coordinates (n,) each, (n, n_parameters)."""

    def gradient(
        self, found: Any, factor: float, along: Array, strain: Array | None = None
    ) -> Array:
        """Return the derivatives of ``factor E + along . dE/dx + strain : dE/dstrain``."""


def _no_work(leaf: Any) -> Work:
    return Work()


def _is_exact(leaf: Any) -> None:
    return None


def _always(leaf: Any) -> bool:
    return True


def _all_alike(leaf: Any, species: tuple[str, ...]) -> bool:
    return True


def _no_ends(leaf: Any) -> tuple[()]:
    return ()


@dataclass(frozen=True)
class Family(Generic[L]):
    """One kind of leaf. What needs JAX, PennyLane or Numba is `deferred`."""

    kind: str
    """Name of the kind in the JSON form."""
    leaf: type[L]
    json: JsonForm
    describe: Callable[[L], str]
    """One line for cards, without the number of trained parameters."""
    jax_energy: Callable[[L, Any], Any]
    """(leaf, positions (n_atoms, 3)) -> energy, a scalar."""
    jax_in_cell: Callable[[L, Any, Any, Any], Any] | None = None
    """(leaf, positions, cell (3, 3), pairs) -> energy; None: for isolated systems only. The pairs
    are those of `qmd.integrators.neighbours.neighbour_pairs` within `cutoff` or a larger one; a
    pair of an atom with itself without shift fills an empty place."""
    in_slots: bool = False
    """True if `jax_in_cell` takes the pairs of each atom as well, where they are known."""
    jax_of_kinds: Callable[[L, Any, Any, Any, tuple[Any, ...]], Any] | None = None
    """(leaf, place of the element of each atom, positions, cell, pairs) -> energy, for atoms of any
    composition in one compiled function; -1 is a missing atom. None: for its own atoms only."""
    cutoff: Callable[[L], float] | None = None
    """Distance (angstrom) beyond which the pairs of `jax_in_cell` do not count."""
    parameters: type[Any] | None = None
    """NamedTuple of the trained arrays."""

    native: "Callable[[L], Force] | None" = None
    """The native kernel; None: JAX only. It raises ValueError for a leaf that it cannot take."""
    in_threads: "Callable[[L, int], Force] | None" = None
    """The native kernel with the work of a periodic system shared by so many threads, and the bits
    of `native`; None: one thread does it all."""
    gradient: Callable[[L], LeafGradient] | None = None
    """Compiled derivatives by the trained parameters; None: by JAX."""
    gradient_in_cells: Callable[[L], CellGradient] | None = None
    """The same in cells; None: by JAX."""
    trained_on: Literal["native", "jax"] = "native"
    """The faster engine of a training."""
    circuit: Callable[[L], LeafCircuit] | None = None
    on_kinds: Callable[[L, tuple[int, ...]], L] | None = None
    """The same numbers for another molecule, given the place of each atom's element."""

    work: Callable[[L], Work] = _no_work
    measured: Callable[[L], Any] = _is_exact
    """The `Quantum` that is measured with shots, or None if the leaf is exact; raises ValueError if
    finite shots are not modelled."""

    keeps_rotations: Callable[[L], bool] = _always
    """Returns True if rotated atoms have the same energy."""
    keeps_reflections: Callable[[L], bool] = _always
    """Returns True if mirror images have the same energy, even where they are no rotations."""
    keeps_exchanges: Callable[[L, tuple[str, ...]], bool] = _all_alike
    """Returns True if atoms of the same element, given the elements of all, are equivalent."""
    ends: Callable[[L], Iterable[tuple[int, int, float]]] = _no_ends
    """Pairs of atoms, and the distance (angstrom) beyond which they do not interact."""


def deferred(package: str | None, path: str) -> Callable[..., Any]:
    """Return a function that imports ``module.name`` of `package` at its first call.

    Examples
    --------
    ``deferred(__package__, "jax_energy.energy")``
    """
    module, _, name = path.rpartition(".")

    def call(*arguments: Any) -> Any:
        return getattr(import_module(f".{module}", package), name)(*arguments)

    call.__qualname__ = f"deferred {path}"
    return call
