"""Energy and forces of liquid water on a network of rank two: the kernel on neighbour lists.

Boxes of 64 to 4,096 waters, made of equal cells of 64 that are shaken, with random parameters of
the size that docs/theory.md has for liquids: 4 qubits, 4 layers, 14 Gaussians to 5 angstrom. All
are timed in turn, so that a busy machine slows all alike.

`native_over_jax` is the time of the compiled JAX function over that of the kernel, for 64 waters.
`two_cores_over_one` is what a second core gives for 64 waters. `cost_per_atom_12288_over_192` is
the time of an atom in the largest box over that in the smallest.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _harness

SIZES = {192: 1, 1536: 2, 12288: 4}
"""Atoms, and cells of 64 waters along an edge."""
SHAKE_A = 0.02
"""Standard deviation of the shifts of the atoms, so that the cells of a box differ."""
CUTOFF_A, N_RADIAL, N_QUBITS, N_LAYERS = 5.0, 14, 4, 4


def main() -> None:
    parser = _harness.parser(
        "Energy and forces of boxes of water on a network of rank two.",
        "python benchmarks/liquid.py --json liquid.json",
        repeats=9,
    )
    _harness.run(parser.parse_args(), measure, markdown)


def box(edge: int) -> tuple[tuple[str, ...], Any, Any]:
    """Symbols, positions and cell of `edge` cells of 64 waters along each direction."""
    import numpy as np

    from qmd.io.structure import load_system

    one = load_system("water-64", Path(), periodic=True)
    corners = np.array(list(np.ndindex(edge, edge, edge))) @ one.cell
    positions = (corners[:, None] + one.positions).reshape(-1, 3)
    shaken = positions + SHAKE_A * np.random.default_rng(1).standard_normal(positions.shape)
    return one.symbols * edge**3, shaken, edge * one.cell


def network(symbols: tuple[str, ...], rank: Any) -> Any:
    """Return a network with random parameters."""
    from qmd.potentials import atom_centred

    return atom_centred.revised(
        symbols, 1, n_qubits=N_QUBITS, n_layers=N_LAYERS, n_radial=N_RADIAL, cutoff=CUTOFF_A,
        rank=rank,
    )  # fmt: skip


def native(force: Any, positions: Any, cell: Any) -> Callable[[], None]:
    """Return a call of a kernel, with the room that it needs."""
    import numpy as np

    from qmd.integrators import evaluate
    from qmd.integrators.forces.force import compute, pointer

    evaluate(force, positions, cell)
    called, forces = pointer(force), np.empty_like(positions)

    def call(alive: Any = force) -> None:  # the lists live as long as the force does
        compute(called, positions, cell, forces)

    return call


def measure(options: argparse.Namespace, progress: _harness.Progress) -> dict[str, Any]:
    """Time all of them in turn; what `--json` writes."""
    os.environ["NUMBA_NUM_THREADS"] = "2"  # all but one of the tasks use one thread
    import numba

    from qmd.potentials import centred_native
    from qmd.potentials.tree.potential import compiled_in_cell

    _harness.set_up_jax()
    sizes = list(SIZES)[: 2 if options.quick else 3]
    tasks: dict[str, Callable[[], Any]] = {}
    memory = 0.0
    for n in sizes:
        progress(f"native_{n}")
        symbols, positions, cell = box(SIZES[n])
        force = centred_native.native_kernel(network(symbols, 2))
        tasks[f"native_{n}"] = native(force, positions, cell)
        lists = sum(held.n_bytes for _, held in force.lists)  # type: ignore[attr-defined]
        memory = (lists + force.workspace.nbytes + force.program.nbytes) / n
        if n == sizes[0]:
            _add_small(tasks, symbols, positions, cell, options.quick, progress)
    if os.cpu_count() != 1:
        numba.set_num_threads(2)
        force = centred_native.native_kernel(network(box(1)[0], 2), parallel=True)
        tasks["two_cores_192"] = native(force, *box(1)[1:])
    progress("jax_192")
    symbols, positions, cell = box(1)
    in_cell = compiled_in_cell(network(symbols, 2))
    in_cell(positions, cell)
    tasks["jax_192"] = lambda: in_cell(positions, cell)
    repeats = 2 if options.quick else options.repeats
    samples = _times(tasks, repeats, progress)
    ms = {name: 1e3 * statistics.median(times) for name, times in samples.items()}
    largest = sizes[-1]
    found = {
        "native_over_jax": ms["jax_192"] / ms["native_192"],
        f"cost_per_atom_{largest}_over_192": (ms[f"native_{largest}"] / largest)
        / (ms["native_192"] / 192),
    }
    if "two_cores_192" in ms:
        found["two_cores_over_one"] = ms["native_192"] / ms["two_cores_192"]
    return {
        "benchmark": "liquid", **found, "bytes_per_atom": memory, "ms": ms,
        "samples_ms": {name: [1e3 * t for t in times] for name, times in samples.items()},
        "us_per_centre": {str(n): 1e3 * ms[f"native_{n}"] / n for n in sizes},
        "repeats": repeats,
        "model": {
            "qubits": N_QUBITS, "layers": N_LAYERS, "radial": N_RADIAL, "cutoff_A": CUTOFF_A,
            "rank": 2,
        },
        **_harness.environment(["jax"]),
    }  # fmt: skip


def _add_small(
    tasks: dict[str, Callable[[], Any]], symbols: tuple[str, ...], positions: Any, cell: Any,
    quick: bool, progress: _harness.Progress,
) -> None:  # fmt: skip
    """Add rank one on the smallest box."""
    from qmd.potentials import centred_native

    if not quick:
        progress("rank_one_192")
        force = centred_native.native_kernel(network(symbols, 1))
        tasks["rank_one_192"] = native(force, positions, cell)


def _times(
    tasks: dict[str, Callable[[], Any]], repeats: int, progress: _harness.Progress
) -> dict[str, list[float]]:
    """Seconds of a call of each task, in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for turn in range(repeats):
        for name, call in tasks.items():
            progress(f"round {turn + 1} of {repeats}: {name}")
            calls = 1 if name.endswith("12288") else 10
            begin = time.perf_counter()
            for _ in range(calls):
                call()
            seconds[name].append((time.perf_counter() - begin) / calls)
    return seconds


def markdown(result: dict[str, Any]) -> str:
    """Title, table and notes of a result of `measure`."""
    rows = []
    for name, samples in result["samples_ms"].items():
        kind, _, n = name.rpartition("_")
        each = 1e3 * result["ms"][name] / int(n)
        rows.append([f"{kind.replace('_', ' ')}, {n} atoms", *_harness.spread(samples),
                     _harness.number(each)])  # fmt: skip
    head = ["energy and forces of", "ms", "middle half", "us for each atom"]
    ratios = [f"{key}: {value:.2f}" for key, value in result.items() if "_over_" in key]
    return "\n\n".join([
        "# Water in a periodic cell: energy and forces of a network of rank two",
        _harness.table(head, rows),
        f"{', '.join(ratios)}. Memory of the largest: {result['bytes_per_atom']:.0f} bytes an "
        "atom.",
    ])  # fmt: skip


if __name__ == "__main__":
    main()
