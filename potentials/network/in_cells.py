"""Derivatives of a network by its trained parameters, for isolated atoms and for cells."""

from typing import NamedTuple, Protocol

import numpy as np

from qmd.integrators import neighbour_pairs

from . import kernel as layout
from . import native
from . import surroundings_kernel as compiled
from .lanes import FOUR, LANES
from .network import AtomCentredNetwork
from .perceptron import Perceptron

Array = np.ndarray


class Surroundings(NamedTuple):
    """Neighbours of all atoms within the cut-off, each pair in both directions, by centre."""

    starts: Array
    """First pair of each atom and, last, the number of pairs, (n_atoms + 1,)."""
    others: Array
    """Neighbour of each pair, (n_pairs,)."""
    apart: Array
    """Vector from the centre to the neighbour, angstrom, (n_pairs, 3)."""


def surroundings(positions: Array, cell: Array, cutoff: float) -> Surroundings:
    """Return the surroundings of all atoms.

    Parameters
    ----------
    positions : (n_atoms, 3)
        In angstrom, wrapped or not.
    cell : (3, 3)
        Lattice vectors in rows, angstrom; zeros where not periodic.
    cutoff : float
        In angstrom.
    """
    i, j, shifts = neighbour_pairs(positions, cell, cutoff)
    vectors = positions[j] - positions[i] + shifts @ cell
    centres, others = np.concatenate([i, j]), np.concatenate([j, i])
    apart = np.concatenate([vectors, -vectors])
    order = np.argsort(centres, kind="stable")
    starts = np.searchsorted(centres[order], np.arange(len(positions) + 1))
    return Surroundings(starts, others[order], np.ascontiguousarray(apart[order]))


class Evaluated(NamedTuple):
    """Energy, forces and virial at a geometry, with what its derivatives need."""

    energy: float
    """eV"""
    forces: Array
    """eV/angstrom, (n_atoms, 3)"""
    virial: Array
    """Minus the derivative of the energy by a strain, eV, (3, 3)."""
    surroundings: Surroundings
    moments: Array
    channels: Array
    slopes: Array


class Readout(Protocol):
    """Function of the channels of a centre: a circuit, or its classical control.

    Its own trained numbers are those beside the ones that the channels are made of.
    """

    def evaluate(self, channels: Array) -> tuple[float, Array]:
        """Return the energy of all atoms without offsets, and its slopes by the channels."""

    def changes_of_slopes(self, channels: Array, changes: Array, of: Array) -> Array:
        """Return the changes of the slopes of atoms `of` (n,) along changes of their channels."""

    def by_weights(self, channels: Array, changes: Array, factor: float) -> Array:
        """Return the derivatives of `factor` E and of dE along changes, by the own numbers."""

    def rows_by_weights(self, channels: Array, changes: Array, of: Array, ends: Array) -> Array:
        """Return those of dE along changes in entries up to `ends` of each row, (rows, weights)."""


class Layout(NamedTuple):
    """The parameters of a model as the kernels take them."""

    sizes: tuple[int, int, int]
    """Numbers of vectors, scalars and tensors, padded."""
    coefficients: Array
    """(K, K, Gaussians, functions)"""
    constants: Array
    """Scalars of a centre without neighbours, (K, scalars)."""
    offsets: Array
    """(K,)"""
    order: Array
    """For each number of coefficients, constants, offsets and own numbers of the readout: its index
    among all parameters as JAX flattens them, from 1; 0 for padding."""


class CentresInCells:
    """Derivatives of a sum over centres at any geometry; several threads may use one.

    Parameters
    ----------
    model : AtomCentredNetwork or Perceptron
    parts : Layout
    readout : Readout
    """

    def __init__(
        self, model: AtomCentredNetwork | Perceptron, parts: Layout, readout: Readout
    ) -> None:
        self._sizes = np.array(parts.sizes, np.int64)
        self._coefficients, self._constants = parts.coefficients, parts.constants
        self._offsets, self._kinds = parts.offsets, np.array(model.kinds, np.int64)
        n_radial = parts.coefficients.shape[2]
        spacing = (model.cutoff - model.first) / (n_radial - 1)
        self._radial = np.array([model.first, spacing, model.cutoff])
        self._cutoff, self._readout = model.cutoff, readout
        self._steps = np.exp(-0.5 - np.arange(n_radial))
        self._n_components = 9 if parts.sizes[2] else 4
        order = parts.order
        self._places = np.empty(int(order.max()), np.int64)
        self._places[order[order > 0] - 1] = np.flatnonzero(order)

    @property
    def n_parameters(self) -> int:
        """Number of trained parameters."""
        return len(self._places)

    def surroundings(self, positions: Array, cell: Array) -> Surroundings:
        """Return the surroundings of all atoms within the cut-off of the network."""
        return surroundings(positions, cell, self._cutoff)

    def evaluate(self, around: Surroundings) -> Evaluated:
        """Return energy, forces and virial."""
        n, size = len(self._kinds), int(self._sizes @ (3, 1, 5))
        k, g = len(self._offsets), len(self._steps)
        moments, channels = np.empty((n, k, self._n_components, g)), np.empty((n, size))
        compiled.channels_into(
            *around, self._kinds, self._radial, self._steps, self._coefficients, self._constants,
            self._sizes, moments, channels,
        )  # fmt: skip
        energy, slopes = self._readout.evaluate(channels)
        forces, virial = np.empty((n, 3)), np.empty((3, 3))
        compiled.forces_into(
            *around, self._kinds, self._radial, self._steps, self._coefficients, self._sizes,
            slopes, forces, virial,
        )  # fmt: skip
        energy += float(self._offsets[self._kinds].sum())
        return Evaluated(energy, forces, virial, around, moments, channels, slopes)

    def gradient(
        self, found: Evaluated, factor: float, along: Array, strain: Array | None = None
    ) -> Array:
        """Return the derivatives of ``factor E + along . dE/dx + strain : dE/dstrain``.

        Parameters
        ----------
        found : Evaluated
        factor : float
        along : (n_atoms, 3)
        strain : (3, 3), optional
            Default: none.

        Returns
        -------
        (n_parameters,)
            In the order in which JAX flattens the network.
        """
        moments, channels = np.empty_like(found.moments), np.empty_like(found.channels)
        compiled.changes_into(
            *found.surroundings, self._kinds, self._radial, self._steps, self._coefficients,
            self._sizes, along, np.zeros((3, 3)) if strain is None else strain, moments, channels,
        )  # fmt: skip
        everyone = np.arange(len(channels))
        changed = self._readout.changes_of_slopes(found.channels, channels, everyone)
        coefficients = np.zeros_like(self._coefficients)
        constants = np.zeros_like(self._constants)
        both = factor * found.slopes + changed
        compiled.add_derivatives(
            found.moments, both, 1.0, self._kinds, self._sizes, coefficients, constants
        )
        compiled.add_changed(moments, found.slopes, self._kinds, self._sizes, coefficients)
        own = self._readout.by_weights(found.channels, channels, factor)
        return self._in_order(coefficients, constants, factor, own)

    def energy_row(self, found: Evaluated) -> Array:
        """Return the derivatives of the energy, (n_parameters,)."""
        coefficients = np.zeros_like(self._coefficients)
        constants = np.zeros_like(self._constants)
        compiled.add_derivatives(
            found.moments, found.slopes, 1.0, self._kinds, self._sizes, coefficients, constants
        )
        own = self._readout.by_weights(found.channels, np.zeros_like(found.channels), 1.0)
        return self._in_order(coefficients, constants, 1.0, own)

    def slope_rows(self, found: Evaluated, atoms: Array, axes: Array) -> Array:
        """Return the derivatives of dE/dx of some coordinates, (n, n_parameters).

        The work of a coordinate is that of the neighbours of its atom, whatever the size of the
        system.

        Parameters
        ----------
        found : Evaluated
        atoms, axes : (n,)
            Atom and axis of each coordinate.
        """
        around, n_rows = found.surroundings, len(atoms)
        counts = around.starts[atoms + 1] - around.starts[atoms] + 1
        ends = np.cumsum(counts)
        k, g = len(self._offsets), len(self._steps)
        centres = np.zeros(int(counts.sum()), np.int64)
        moments = np.empty((len(centres), k, self._n_components, g))
        channels = np.empty((len(centres), found.channels.shape[1]))
        used = np.empty(n_rows, np.int64)
        for row, (end, count) in enumerate(zip(ends, counts, strict=True)):
            here = slice(end - count, end)
            used[row] = compiled.entries_into(
                *around, self._kinds, self._radial, self._steps, self._coefficients, self._sizes,
                int(atoms[row]), int(axes[row]), centres[here], moments[here], channels[here],
            )  # fmt: skip
        changed = self._readout.changes_of_slopes(found.channels, channels, centres)
        own = self._readout.rows_by_weights(found.channels, channels, centres, ends)
        rows = np.empty((n_rows, self.n_parameters))
        coefficients = np.empty_like(self._coefficients)
        constants = np.empty_like(self._constants)
        for row, (end, count) in enumerate(zip(ends, counts, strict=True)):
            here = slice(end - count, end)
            compiled.row_into(
                centres[here], used[row], moments[here], changed[here], found.moments,
                found.slopes, self._kinds, self._sizes, self._kinds[atoms[row]], coefficients,
                constants,
            )  # fmt: skip
            rows[row] = self._in_order(coefficients, constants, 0.0, own[row])
        return rows

    def _in_order(self, coefficients: Array, constants: Array, factor: float, own: Array) -> Array:
        offsets = factor * np.bincount(self._kinds, minlength=len(self._offsets))
        parts = [coefficients.ravel(), constants.ravel(), offsets, own]
        return np.asarray(np.concatenate(parts)[self._places])


def network_in_cells(model: AtomCentredNetwork) -> CentresInCells:
    """Return the derivatives of a network of circuits in cells by its parameters."""
    model.check()
    radial, constants, offsets = native.kernel_order(model.parameters, model.circuit)
    parts = Layout(
        native._padded(model),
        radial.reshape(model.n_kinds, model.n_kinds, model.n_radial, -1),
        constants.reshape(model.n_kinds, -1),
        offsets,
        np.concatenate(native.kernel_order(native._numbered(model.parameters), model.circuit)),
    )
    return CentresInCells(model, parts, Circuits(model))


class Circuits:
    """Circuits as the function of the channels; all that is trained is in the channels.

    Parameters
    ----------
    model : AtomCentredNetwork
    """

    def __init__(self, model: AtomCentredNetwork) -> None:
        self._program, self._workspace = _circuits_of(model.on((0,) * LANES))

    def evaluate(self, channels: Array) -> tuple[float, Array]:
        """Return the result of `Readout.evaluate`."""
        slopes, energies = np.empty_like(channels), np.empty(-(-len(channels) // FOUR))
        compiled.circuits_into(
            channels, slopes, energies, self._program.copy(), self._workspace.copy()
        )
        return float(energies.sum()), slopes

    def changes_of_slopes(self, channels: Array, changes: Array, of: Array) -> Array:
        """Return the result of `Readout.changes_of_slopes`, by central differences."""
        n = len(changes)
        steps, two = np.empty(n), np.empty((2 * n, changes.shape[1]))
        compiled.both_sides(channels[of], changes, steps, two)
        out = np.empty_like(changes)
        compiled.changes_of_slopes(self.evaluate(two)[1], steps, out)
        return out

    def by_weights(self, channels: Array, changes: Array, factor: float) -> Array:
        """Return no numbers."""
        return np.zeros(0)

    def rows_by_weights(self, channels: Array, changes: Array, of: Array, ends: Array) -> Array:
        """Return rows without numbers."""
        return np.zeros((len(ends), 0))


def _circuits_of(few: AtomCentredNetwork) -> tuple[Array, Array]:
    """Return program and workspace of the circuits of `LANES` centres, without offsets."""
    head, lists = native._program(few)
    n_channels = LANES * int(np.array(native._padded(few)) @ (3, 1, 5))
    constants = {
        layout.OFFSETS: np.zeros(few.n_kinds),
        layout.INITIAL: native._singlets(few.circuit),
    }
    sizes = {place: part.size for place, part in constants.items()}
    sizes |= {layout.CHANNELS: n_channels, layout.SLOPES: n_channels}
    sizes |= {layout.ENERGIES: LANES // FOUR}
    sizes |= native._scratch_of_lanes(few)
    head[list(sizes)] = np.cumsum([0, *list(sizes.values())[:-1]])
    workspace = np.zeros(sum(sizes.values()))
    filled = np.concatenate(list(constants.values()))
    workspace[: filled.size] = filled
    return np.concatenate([head, lists]), workspace
