"""Packing of a network into the arrays that `kernel` interprets."""

import numpy as np

from qmd.integrators import Force

from ..circuit.circuit import Circuit, Heisenberg
from ..contract import check_bytes
from ..simd.vectors import padded
from . import kernel as layout
from . import rank_two
from .lanes import AMPLITUDE, FOUR, LANES
from .list_native import Centres, force_on_lists
from .network import AtomCentredNetwork, NetworkParameters
from .pair_lanes import COMPONENTS, UNITARY

Array = np.ndarray
MAX_DENSE = 100
"""Largest number of isolated atoms whose pairs are all taken, without a list."""


def native_kernel(model: AtomCentredNetwork, *, parallel: bool = False, threads: int = 1) -> Force:
    """Return the native kernel of a network, for isolated atoms and for cells.

    Parameters
    ----------
    model : AtomCentredNetwork
    parallel : bool
        Compute the energy of a small isolated molecule on all cores; see `parallel`.
    threads : int
        Number of threads that share the centres in a cell; see `list_parallel`.

    Raises
    ------
    ValueError
        If the parameters do not fit, or the workspace would be too large.
    """
    model.check()
    dense = None
    if model.n_atoms <= MAX_DENSE:
        dense = _dense_in_parallel(model) if parallel else _dense(model)
    return force_on_lists(model.kinds, _centres(model), dense, threads)


def in_threads(model: AtomCentredNetwork, threads: int) -> Force:
    """Return the native kernel whose centres in a cell are shared by threads."""
    return native_kernel(model, threads=threads)


def _dense(model: AtomCentredNetwork) -> Force:
    return Force(layout.energy_and_forces(), *arrays(model))


def _dense_in_parallel(model: AtomCentredNetwork) -> Force:
    from .parallel import energy_and_forces

    return Force(energy_and_forces(), *arrays(model, -(-model.n_atoms // LANES)))


def _centres(model: AtomCentredNetwork) -> Centres:
    """Return what the kernel on lists has to know of a network."""
    few = model.on((0,) * LANES)
    radial, start, offsets = kernel_order(model.parameters, model.circuit)
    head, lists = _program(few)
    shape = (model.n_kinds, model.n_kinds, model.n_radial, -1)
    return Centres(
        first=model.first,
        cutoff=model.cutoff,
        coefficients=radial.reshape(shape),
        parts=_padded(model),
        start=start.reshape(model.n_kinds, -1),
        function=int(head[layout.CIRCUITS]),
        program=np.concatenate([head, lists]),
        constants={layout.OFFSETS: offsets, layout.INITIAL: _singlets(model.circuit)},
        scratch=_scratch_of_lanes(model),
    )


def arrays(model: AtomCentredNetwork, n_at_once: int = 1) -> tuple[Array, Array]:
    """Return program and workspace of `kernel.energy_and_forces`.

    Parameters
    ----------
    model : AtomCentredNetwork
    n_at_once : int
        Number of `LANES` centres that have scratch of their own.

    Raises
    ------
    ValueError
        If the workspace would be too large.
    """
    constants, of_lanes = _constants(model), _scratch_of_lanes(model)
    shift = sum(of_lanes.values())
    sizes = {place: part.size for place, part in constants.items()}
    sizes |= _scratch(model, constants)
    sizes |= of_lanes  # last, so that others of their kind can follow
    n_numbers = sum(sizes.values()) + (n_at_once - 1) * shift
    check_bytes(8 * n_numbers)
    head, lists = _program(model)
    head[layout.SHIFT] = shift
    head[list(sizes)] = np.cumsum([0, *list(sizes.values())[:-1]])
    workspace = np.zeros(n_numbers)
    filled = np.concatenate(list(constants.values()))
    workspace[: filled.size] = filled
    return np.concatenate([head, lists]), workspace


def _program(model: AtomCentredNetwork) -> tuple[Array, Array]:
    """Return the head without the places in the workspace, and the lists behind it."""
    circuit, n = model.circuit, model.n_atoms
    n_qubits, (vectors, scalars, tensors) = len(circuit.spins), _padded(model)
    gates = [
        (*_strides(gate.pairs[0], n_qubits), gate.coupling)
        for gate in circuit.layer
        if isinstance(gate, Heisenberg)
    ]
    observed = [
        (*_strides(pair, n_qubits), i)
        for i, observable in enumerate(circuit.observables)
        for pair in observable.pairs
    ]
    gates_at = layout.HEAD + n
    values = {
        layout.N_ATOMS: n,
        layout.N_KINDS: model.n_kinds,
        layout.N_QUBITS: n_qubits,
        layout.N_LAYERS: circuit.n_layers,
        layout.N_RADIAL: model.n_radial,
        layout.N_COUPLINGS: circuit.n_couplings,
        layout.N_OBSERVABLES: len(circuit.observables),
        layout.HAS_SCALARS: model.has_scalars,
        layout.N_VECTORS: vectors,
        layout.N_SCALARS: scalars,
        layout.N_TENSORS: tensors,
        layout.N_GATES: len(gates),
        layout.N_OBSERVED: len(observed),
        layout.KINDS: layout.HEAD,
        layout.GATES: gates_at,
        layout.OBSERVED: gates_at + 3 * len(gates),
        layout.CIRCUITS: (rank_two if tensors else layout).circuits().address,
        layout.SLOPED: layout.energy_and_slopes().address,
    }
    head = np.zeros(layout.HEAD, np.int64)
    head[list(values)] = list(values.values())
    lists = np.array([*gates, *observed], np.int64).ravel()
    return head, np.concatenate([np.array(model.kinds, np.int64), lists])


def _constants(model: AtomCentredNetwork) -> dict[int, Array]:
    """Return the constants at the start of the workspace, by their place in the head."""
    radial, constants, offsets = kernel_order(model.parameters, model.circuit)
    return {
        layout.COEFFICIENTS: radial,
        layout.CONSTANTS: constants,
        layout.OFFSETS: offsets,
        layout.RADIAL: _radial(model),
        layout.STEPS: np.exp(-0.5 - np.arange(model.n_radial)),
        layout.INITIAL: _singlets(model.circuit),
    }


def _scratch(model: AtomCentredNetwork, constants: dict[int, Array]) -> dict[int, int]:
    """Return the sizes of the scratch of all centres, by their place in the head."""
    n, (vectors, scalars, tensors) = model.n_atoms, _padded(model)
    size, n_channels = vectors + scalars + tensors, 3 * vectors + scalars + 5 * tensors
    return {
        layout.GAUSSIANS: n * (n - 1) * model.n_radial,
        layout.KEPT: n * n * (2 * size + 4),
        layout.CHANNELS: n * n_channels,
        layout.SLOPES: n * n_channels,
        layout.DOTS: size,
        layout.ENERGIES: -(-n // FOUR),
        layout.COEFFICIENT_SLOPES: constants[layout.COEFFICIENTS].size,
        layout.CONSTANT_SLOPES: constants[layout.CONSTANTS].size,
        layout.OFFSET_SLOPES: constants[layout.OFFSETS].size,
    }


def _scratch_of_lanes(model: AtomCentredNetwork) -> dict[int, int]:
    """Return the sizes of the scratch of `LANES` centres."""
    circuit = model.circuit
    n_qubits, n_couplings = len(circuit.spins), circuit.n_layers * circuit.n_couplings
    n_vectors = (circuit.n_layers + 1) * n_qubits
    n_tensors = _n_scalars(circuit) if model.rank == 2 else 0
    return {
        layout.TURNS: layout.VECTOR * n_vectors,
        layout.PHASES: AMPLITUDE * n_couplings,
        layout.WEIGHTS: LANES * len(circuit.observables),
        layout.VALUES: LANES * len(circuit.observables),
        layout.TORQUES: LANES * (6 * n_vectors + n_couplings) + COMPONENTS * n_tensors,
        layout.PSI: AMPLITUDE << n_qubits,
        layout.AFTER: AMPLITUDE << n_qubits,
        layout.UNITARIES: UNITARY * n_couplings if n_tensors else 0,
        layout.MATRICES: COMPONENTS * len(circuit.observables) if n_tensors else 0,
    }


def kernel_order(parameters: NetworkParameters, circuit: Circuit) -> tuple[Array, Array, Array]:
    """Return the parameters as the kernel reads them: radial, constants of each element, offsets.

    They are padded to multiples of four with zeros.
    """
    k, _, rows, n_qubits, g = parameters.vectors.shape
    scalars, blocks = _n_scalars(circuit), []
    for part, n in (
        (parameters.vectors, rows * n_qubits),
        (parameters.scalars, scalars),
        *([] if parameters.tensors is None else [(parameters.tensors, scalars)]),
    ):
        block = np.zeros((k, k, g, padded(n)), parameters.vectors.dtype)
        if part.size:
            block[..., :n] = np.moveaxis(part.reshape(k, k, n, g), 3, 2)
        blocks.append(block)
    radial = np.concatenate(blocks, axis=-1)
    constants = np.zeros((k, padded(scalars)), radial.dtype)
    n = parameters.couplings[0].size
    constants[:, :n] = parameters.couplings.reshape(k, -1)
    constants[:, n:scalars] = parameters.weights
    return radial.ravel(), constants.ravel(), np.asarray(parameters.offsets).ravel()


def _padded(model: AtomCentredNetwork) -> tuple[int, int, int]:
    """Return the numbers of vectors, scalars and tensors, padded to multiples of four."""
    n_vectors = (model.circuit.n_layers + 1) * len(model.circuit.spins)
    scalars = padded(_n_scalars(model.circuit))
    return padded(n_vectors), scalars, scalars if model.rank == 2 else 0


def _n_scalars(circuit: Circuit) -> int:
    return circuit.n_layers * circuit.n_couplings + len(circuit.observables)


def _strides(pair: tuple[int, int], n_qubits: int) -> tuple[int, int]:
    """Return the strides of two qubits in the index of an amplitude, the larger one first."""
    low, high = sorted(pair)
    return 1 << (n_qubits - 1 - low), 1 << (n_qubits - 1 - high)


def _radial(model: AtomCentredNetwork) -> Array:
    return np.array([
        model.first, (model.cutoff - model.first) / (model.n_radial - 1), model.cutoff
    ])  # fmt: skip


def _singlets(circuit: Circuit) -> Array:
    """Return the amplitudes of the initial state, all real."""
    n = len(circuit.spins)
    psi = np.zeros((2,) * n)
    psi[(0,) * n] = 1.0
    for p, q in circuit.singlets:
        psi = (np.flip(psi, q) - np.flip(psi, p)) / np.sqrt(2)
    return psi.ravel()


class NetworkGradient:
    """Derivatives of the energy of a network by its parameters; see `family.LeafGradient`.

    Parameters
    ----------
    model : AtomCentredNetwork
    """

    def __init__(self, model: AtomCentredNetwork) -> None:
        self._program, self._workspace = arrays(model)
        self._begin = int(self._program[layout.COEFFICIENT_SLOPES])
        order = np.concatenate(kernel_order(_numbered(model.parameters), model.circuit))
        self._places = np.empty(int(order.max()), np.int64)
        self._places[order[order > 0] - 1] = np.flatnonzero(order)
        self._end = self._begin + order.size

    def rows(self, positions: Array) -> Array:
        """Return derivatives of the energies at `positions` (n, n_atoms, 3): (n, n_parameters)."""
        return self._into(len(positions), positions, np.ones(len(positions)))

    def sum(self, positions: Array, factors: Array) -> Array:
        """Return ``factors @ rows(positions)`` without storing the rows, (n_parameters,)."""
        return np.asarray(self._into(1, positions, factors)[0])

    def _into(self, n_rows: int, positions: Array, factors: Array) -> Array:
        rows = np.zeros((n_rows, self._end - self._begin))
        layout.rows_into(
            np.ascontiguousarray(positions), np.asarray(factors, float), rows, self._program,
            self._workspace.copy(), self._begin, self._end,
        )  # fmt: skip
        return np.asarray(rows[:, self._places])


def _numbered(parameters: NetworkParameters) -> NetworkParameters:
    """Replace every parameter by its index among all, from 1."""
    sizes = [0 if part is None else np.size(part) for part in parameters]
    starts = np.cumsum([0, *sizes])
    return NetworkParameters(*(
        None if part is None else 1 + start + np.arange(size).reshape(np.shape(part))
        for start, size, part in zip(starts, sizes, parameters, strict=False)
    ))  # fmt: skip
