"""Pictures of circuits by PennyLane: the first layers, each with a mark."""

from pathlib import Path
from typing import Any

import pennylane as qml
from pennylane.drawer.drawable_layers import drawable_layers

from qmd.circuits.instances import CircuitInstance
from qmd.circuits.resources import tape
from qmd.errors import InputError, OutputError
from qmd.potentials import Circuit, Encode, Heisenberg

TEXT_WIDTH = 110


class Block(qml.operation.Operation):  # type: ignore[misc]
    """A gate of the model as one box; for drawing only."""

    num_params = 0

    def __init__(self, name: str, wires: Any) -> None:
        self._text = name
        super().__init__(wires=wires)

    def label(self, decimals: int | None = None, base_label: str | None = None,
              cache: dict[str, Any] | None = None) -> str:  # fmt: skip
        """Return the name in the box."""
        return self._text


def text(part: CircuitInstance, n_layers: int = 1, *, gates: bool = False) -> str:
    """Drawing in characters, wire by wire."""
    drawing: str = qml.drawer.tape_text(
        _marked(part, n_layers, gates), wire_order=range(part.n_qubits), show_all_wires=True,
        max_length=TEXT_WIDTH,
    )  # fmt: skip
    return f"{_title(part, n_layers)}\n{drawing}"


def picture(part: CircuitInstance, path: Path, n_layers: int = 1, *, gates: bool = False) -> None:
    """Draw a circuit into a file; its suffix determines the format, e.g. ``.png``.

    Parameters
    ----------
    n_layers : int
        Number of layers to show.
    gates : bool
        Show the elementary gates that the reference interpreter applies, instead of one box for
        each gate of the model.

    Raises
    ------
    InputError
        If matplotlib does not know the format of the suffix.
    OutputError
        If the file cannot be written.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.backend_bases import FigureCanvasBase

    known = sorted(FigureCanvasBase.get_supported_filetypes())
    if path.suffix.lower().lstrip(".") not in known:
        raise InputError(f"{path}: expected a suffix of {', '.join(known)}")
    marked = _marked(part, n_layers, gates)
    figure, axes = qml.drawer.tape_mpl(
        marked, wire_order=range(part.n_qubits), show_all_wires=True, style="pennylane"
    )
    for layer, (start, end) in enumerate(_columns(marked), start=1):
        axes.text(
            (start + end) / 2, -0.7, f"layer {layer} of {part.n_layers}", ha="center", fontsize=14
        )
    axes.text(0, part.n_qubits - 0.1, _title(part, n_layers), fontsize=14)
    try:
        figure.savefig(path, bbox_inches="tight", dpi=120)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from None
    finally:
        pyplot.close(figure)


def _title(part: CircuitInstance, n_layers: int) -> str:
    return f"{part.name}: {part.n_qubits} qubits, {n_layers} of {part.n_layers} layers shown"


def _marked(part: CircuitInstance, n_layers: int, gates: bool) -> Any:
    """Return the tape of the first layers, with a barrier before each and after the last one."""
    circuit = part.circuit
    if circuit is None or gates:
        one, two = (tape(part, n) for n in (1, 2))
        per_layer = len(two.operations) - len(one.operations)
        whole = tape(part, n_layers)
        operations, measurements = whole.operations, whole.measurements
        start = len(operations) - n_layers * per_layer
    else:
        begin, layer = _blocks(circuit)
        start, per_layer = len(begin), len(layer)
        operations = begin + layer * n_layers
        measurements = tape(part, 1).measurements
    marked = operations[:start]
    for n in range(n_layers):
        marked += [_barrier(part), *operations[start + n * per_layer :][:per_layer]]
    return qml.tape.QuantumScript([*marked, _barrier(part)], measurements)


def _barrier(part: CircuitInstance) -> Any:
    return qml.Barrier(range(part.n_qubits), only_visual=True)


def _blocks(circuit: Circuit) -> tuple[list[Any], list[Any]]:
    """Return boxes of the start, with the first encoding, and of one layer."""
    encoding = [_encoding(circuit, gate) for gate in circuit.encoding]
    start = [Block("singlet", pair) for pair in circuit.singlets]
    layer: list[Any] = []
    for gate in circuit.layer:
        if isinstance(gate, Heisenberg):
            name = f"RH(J{gate.coupling + 1})"
            disjoint = len({q for pair in gate.pairs for q in pair}) == 2 * len(gate.pairs)
            joined = gate.pairs if disjoint else [sorted({q for p in gate.pairs for q in p})]
            layer += [Block(name, wires) for wires in joined]
        else:
            layer += [Block(f"RZ(J{gate.coupling + 1})", [q]) for q in gate.qubits]
    return start + encoding, layer + encoding


def _encoding(circuit: Circuit, gate: Encode) -> Any:
    wires = [gate.qubit] if circuit.ancilla is None else [gate.qubit, circuit.ancilla]
    return Block(f"V(v{gate.vector + 1})", wires)


def _columns(marked: Any) -> list[tuple[int, int]]:
    """Return the first and last column of each layer; PennyLane puts column i at x = i."""
    wires = {wire: wire for wire in range(max(marked.wires) + 1)}
    columns = drawable_layers(marked.operations, wire_map=wires)
    walls = [i for i, column in enumerate(columns)
             if any(isinstance(op, qml.Barrier) for op in column)]  # fmt: skip
    return list(zip(walls[:-1], walls[1:], strict=True))
