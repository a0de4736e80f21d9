"""Shares of the native kernel's time, and its distance from the bound of its arithmetic.

The kernel is a sequence of phases, and each is timed alone, in a Numba loop, on the state that the
others left; that of circuits on two pairs with shared vectors is timed as a whole. Of the phases
that do the circuit the operations are counted from the program they interpret: additions and
multiplications of the real numbers that the algorithm needs, whatever else the code does. Their
number over the peak of the core is the bound. The peak is what a matrix product of NumPy's BLAS
reaches on the same core, measured in the same rounds.
"""

import argparse
import functools
import statistics
from collections.abc import Callable
from typing import Any

import _harness

CIRCUITS = {
    "h2o": "H2O, 4 qubits, 11 layers",
    "dimer": "(H2O)2, 7 qubits, 30 layers",
    "pair": "interaction of two H2O, 7 qubits, 12 layers, vector densities",
}
PHASES = {
    "vectors": "encoding vectors and rotations",
    "forward": "states of all layers",
    "observe": "observable",
    "backward": "adjoint states and torques",
    "forces": "chain rule to the atoms",
}
COUNTED = ("forward", "observe", "backward")
"""Phases that are the circuit, and whose operations are counted."""
CALLS = {"h2o": 20_000, "dimer": 500, "pair": 1_000}
BLAS = 512
"""Rows of the matrices whose product tells the peak."""


def main() -> None:
    parser = _harness.parser(
        "Phases of the native kernel, and its distance from the bound of its arithmetic.",
        "python benchmarks/kernel.py --json kernel.json --markdown kernel.md",
        repeats=15,
    )
    options = parser.parse_args()
    if options.quick:
        options.repeats = 2
    _harness.run(options, measure, markdown)


def measure(options: argparse.Namespace, progress: _harness.Progress) -> dict[str, Any]:
    """Time all phases, and the matrix product; what `--json` writes."""
    progress("loading")
    import numpy as np

    matrix = np.random.default_rng(0).standard_normal((BLAS, BLAS))
    tasks: dict[str, Callable[[], object]] = {"blas": functools.partial(np.dot, matrix, matrix)}
    flops: dict[str, dict[str, int]] = {}
    for circuit in CIRCUITS:
        progress(f"compiling: {circuit}")
        phases, flops[circuit] = _phases(circuit)
        for phase, task in phases.items():
            tasks[f"{phase}_{circuit}"] = functools.partial(task, CALLS[circuit])
    times = _harness.interleaved(tasks, options.repeats, progress)
    peak = 2 * BLAS**3 / statistics.median(times.pop("blas"))
    us = {
        name: [1e6 * t / CALLS[name.rpartition("_")[2]] for t in sample]
        for name, sample in times.items()
    }
    medians = {name: statistics.median(sample) for name, sample in us.items()}
    bounds = {circuit: 1e6 * sum(count.values()) / peak for circuit, count in flops.items()}
    return {
        "benchmark": "kernel",
        **{f"{name}_over_bound": medians[f"whole_{name}"] / us for name, us in bounds.items()},
        "peak_flops_per_s": peak,
        "flops": flops,
        "bound_us": bounds,
        "us": medians,
        "samples_us": us,
        "repeats": options.repeats,
        **_harness.environment([]),
    }


def _phases(circuit: str) -> tuple[dict[str, Callable[[int], object]], dict[str, int]]:
    """Tasks that repeat the whole kernel, or one of its phases; operations of those counted."""
    import numpy as np

    from qmd.potentials import native_model
    from qmd.potentials.circuit import kernel
    from qmd.potentials.circuit.native import packed

    model, positions = _model(circuit)
    force = native_model(model)
    program, workspace, _ = packed(model.architecture, model.parameters)
    forces, cell, no_virial = np.empty_like(positions), np.zeros((3, 3)), np.empty((0, 3))
    loops, address = _loops(), force.function.address
    tasks: dict[str, Callable[[int], object]] = {
        "whole": functools.partial(
            loops.pop("whole"), address, positions, cell, forces, no_virial, force.program,
            force.workspace,
        )
    }  # fmt: skip
    if force.function is kernel.energy_and_forces():
        tasks["whole"](1)  # leaves what the phases begin with
        tasks |= {
            name: functools.partial(loop, positions, forces, program, workspace)
            for name, loop in loops.items()
        }
        tasks["vectors"](1), tasks["forward"](1)
    return tasks, _flops(program)


def _model(circuit: str) -> tuple[Any, Any]:
    import _forces
    from _forces import Model

    if circuit != "pair":
        model: Model = _forces.model(circuit)
        return model.potential, model.positions
    from qmd.potentials import water_pair

    pair = water_pair.interaction(1, n_layers=12, n_radial=16)
    return pair.terms[0].model, _forces.model("waters").positions


def _loops() -> dict[str, Callable[..., float]]:
    """Numba loops over the kernel and over its phases."""
    import numba

    from qmd.integrators import call
    from qmd.potentials.circuit import kernel as k
    from qmd.potentials.circuit.layout import N_ENCODINGS, N_LAYERS, PREPARE, WRITE
    from qmd.potentials.parts import call_part

    forward, observe, backward, collect = k._forward, k._observe, k._backward, k._collect

    @numba.njit
    def repeat_whole(address, x, cell, f, virial, program, w, n):
        total = 0.0
        for _ in range(n):
            total += call(address, x, cell, f, virial, program, w)
        return total

    @numba.njit
    def repeat_vectors(x, f, program, w, n):
        for _ in range(n):
            call_part(program[PREPARE], x, w, program)

    @numba.njit
    def repeat_forward(x, f, program, w, n):
        for _ in range(n):
            forward(w, program)

    @numba.njit
    def repeat_observe(x, f, program, w, n):
        energy = 0.0
        for _ in range(n):
            energy = observe(w, program)
        return energy

    @numba.njit
    def repeat_backward(x, f, program, w, n):
        encodings = program[N_ENCODINGS]
        layers = program[N_LAYERS] + 1 if encodings == 1 else 1
        for _ in range(n):
            backward(w, program)
            for e in range(encodings):
                collect(w, e, layers, program)

    @numba.njit
    def repeat_forces(x, f, program, w, n):
        for _ in range(n):
            call_part(program[WRITE], f, w, program)

    return {
        "whole": repeat_whole, "vectors": repeat_vectors, "forward": repeat_forward,
        "observe": repeat_observe, "backward": repeat_backward, "forces": repeat_forces,
    }  # fmt: skip


def _flops(program: Any) -> dict[str, int]:
    """Additions and multiplications of real numbers that each counted phase needs.

    A real 4 x 4 rotation takes 8 per number of the state, whose 2 n_sectors parts have 4**n_pairs
    numbers; a graded operation of c terms 8 c per complex amplitude; RZ on the ancilla 6; torques
    2 for each product of an adjoint number with the 3 others of its four.
    """
    from qmd.potentials.circuit import layout as at
    from qmd.potentials.circuit.lowering import GRADED, TURN
    from qmd.potentials.simd.vectors import DIAGONAL

    pairs, sectors, layers = (int(program[i]) for i in (at.N_PAIRS, at.N_SECTORS, at.N_LAYERS))
    amplitudes = sectors * 4**pairs

    def operation(record: int) -> int:
        kind, pattern = program[record], program[record + 2]
        if kind == GRADED:
            return amplitudes * 8 * (1 if pattern == DIAGONAL else 4)
        return amplitudes * (16 if kind == TURN else 6)

    encode = pairs * 16 * amplitudes
    layer = encode + sum(
        operation(program[at.OPERATIONS] + at.RECORD * i) for i in range(program[at.N_OPERATIONS])
    )
    terms = (program[at.TERMS] + at.RECORD * i for i in range(program[at.N_TERMS]))
    patterns = [8 * (1 if program[term + 2] == DIAGONAL else 4) for term in terms]
    torques = (layers + 1) * pairs * 2 * amplitudes * 2 * 3
    return {
        "forward": encode + layers * layer,
        "observe": amplitudes * (sum(patterns) + 2 * (len(patterns) - 1) + 4),
        "backward": layers * layer + torques,
    }


def markdown(result: dict[str, Any]) -> str:
    """Title and tables of a result of `measure`."""
    peak = result["peak_flops_per_s"]
    parts = [
        "# Phases of the native kernel",
        f"Peak of the core, by a matrix product of BLAS: {peak / 1e9:.1f} GFLOP/s. The bound is "
        "the arithmetic that the algorithm needs for the circuit, at that peak.",
    ]
    for circuit, title in CIRCUITS.items():
        counts, rows = result["flops"][circuit], []
        for phase, label in PHASES.items():
            if f"{phase}_{circuit}" not in result["us"]:
                continue  # a kernel without phases that could be timed alone
            samples, median = (result[key][f"{phase}_{circuit}"] for key in ("samples_us", "us"))
            share = f"{counts[phase] / (median * 1e-6) / peak:.0%}" if phase in COUNTED else "-"
            bound = _harness.number(1e6 * counts[phase] / peak) if phase in COUNTED else "-"
            rows.append([label, *_harness.spread(samples), bound, share])
        whole, bound = result["samples_us"][f"whole_{circuit}"], result["bound_us"][circuit]
        rows.append([
            "whole kernel", *_harness.spread(whole), _harness.number(bound),
            f"{1 / result[f'{circuit}_over_bound']:.0%}",
        ])  # fmt: skip
        head = [title, "us", "middle half", "bound, us", "of the peak"]
        parts.append(_harness.table(head, rows))
        over = _harness.number(result[f"{circuit}_over_bound"])
        parts.append(f"The whole kernel takes {over} times the bound.")
    return "\n\n".join(parts)


if __name__ == "__main__":
    main()
