"""The trainings of the study: what is trained on what, and how often."""

from dataclasses import dataclass

MOLECULES = ("ethanol", "malonaldehyde", "benzene")
SIZES = (50, 100, 200, 400, 800, 950)
MODEL = {"kind": "qnn-revised", "qubits": 4, "layers": 4, "radial": 12}
INITIAL = {"kind": "qnn-initial", "qubits": 4, "layers": 4}
PERCEPTRON = {"kind": "perceptron", "vectors": 10, "scalars": 10, "hidden": 14, "radial": 12}
CONTROLS = {
    "vectors": MODEL | {"scalars": False},
    "uncoupled": MODEL | {"control": "uncoupled"},
    "frozen": MODEL | {"control": "frozen"},
    "perceptron": PERCEPTRON,
}
FINE = 24
"""Gaussians of a finer radial basis."""
STEPS = 200
ADAM_STEPS, ADAM_BATCH, ADAM_RATES = 10_000, 32, (0.003, 0.01)
PERCEPTRON_SPREADS = (0.1, 0.3, 3.0)


@dataclass(frozen=True)
class Row:
    """One training, to be repeated with other seeds."""

    name: str
    molecules: tuple[str, ...]
    """Trained on, together."""
    frames: int
    """Training frames of each molecule."""
    model: dict
    seeds: int = 1
    steps: int = STEPS
    also_tested: tuple[str, ...] = ()
    """Molecules that were not trained on."""
    spread: float = 1.0
    """Factor of the spread of the first radial functions, over that of other trainings."""
    adam: float | None = None
    """Learning rate, in place of Gauss-Newton steps."""


def _rows():
    for molecule in MOLECULES:
        for size in SIZES:
            yield Row(f"{molecule}-{size}", (molecule,), size, MODEL, 3 if size == 950 else 1)
        yield Row(f"{molecule}-initial", (molecule,), 950, INITIAL, 3)
    for size in SIZES:
        yield Row(f"benzene-fine-{size}", ("benzene",), size, MODEL | {"radial": FINE})
    for name, model in CONTROLS.items():
        yield Row(f"ethanol-{name}", ("ethanol",), 950, model, 3)
    for rate in ADAM_RATES:
        yield Row(f"ethanol-adam-{rate}", ("ethanol",), 950, MODEL, steps=ADAM_STEPS, adam=rate)
    for size in (100, 950):
        yield Row(f"ethanol-{size}-wide", ("ethanol",), size, MODEL, spread=10.0)
    for spread in PERCEPTRON_SPREADS:
        name = f"ethanol-perceptron-{spread}"
        yield Row(name, ("ethanol",), 950, PERCEPTRON, spread=spread)
    for qubits, layers in ((2, 4), (6, 4), (4, 1), (4, 2), (4, 8)):
        model = MODEL | {"qubits": qubits, "layers": layers}
        yield Row(f"ethanol-{qubits}-qubits-{layers}-layers", ("ethanol",), 950, model)
    for left_out in MOLECULES:
        others = tuple(m for m in MOLECULES if m != left_out)
        yield Row(
            f"without-{left_out}", others, 950, MODEL, steps=2 * STEPS, also_tested=(left_out,)
        )
    yield Row("all", MOLECULES, 950, MODEL, steps=3 * STEPS)


ROWS = {row.name: row for row in _rows()}
