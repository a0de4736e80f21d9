"""Energy and forces of liquid water on a network of rank two: the kernel on neighbour lists.

Boxes of 64 to 4,096 waters, made of equal cells of 64 that are shaken, with random parameters of
the size that docs/theory.md has for liquids: 4 qubits, 4 layers, 14 Gaussians to 5 angstrom. All
are timed in turn, so that a busy machine slows all alike.

`native_over_deepmd` and `native_over_deepmd_compressed` are the times of DeePMD-kit's `se_e2_a` for
64 waters over that of the kernel, on one core each. DeePMD-kit runs in an environment of its own
(``pip install "deepmd-kit[cpu]==3.2.0" mpich``), on the models that `_deepmd_train.py` has made
there (`--deepmd`); what it had learned by then does not change its speed. `native_over_jax` is the
time of the compiled JAX function over that of the kernel, for 64 waters, `native_over_pennylane`
that of PennyLane for a centre of one molecule. `cost_per_atom_12288_over_192` is the time of an
atom in the largest box over that in the smallest. These are ratios of CPU time, which on a machine
with nothing else to do is the time that passes; on a busy one it still compares the programs.
`time_over_bound_of_arithmetic` is the time of the kernel for 64 waters over that of its additions
and multiplications (`_arithmetic.py`) at the rate of a product of matrices on one core.
`two_cores_over_one` is what a second thread gives for 64 waters in the time that passes, and means
something only where two cores are free.
"""

import argparse
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _arithmetic
import _harness
from _peers import Peer

SIZES = {192: 1, 1536: 2, 12288: 4}
"""Atoms, and cells of 64 waters along an edge."""
SHAKE_A = 0.02
"""Standard deviation of the shifts of the atoms, so that the cells of a box differ."""
CUTOFF_A, N_RADIAL, N_QUBITS, N_LAYERS = 5.0, 14, 4, 4
PEERS = {"deepmd": "plain.pb", "deepmd_compressed": "compressed.pb"}
"""Files of `--deepmd`."""
CALLS = {"native_12288": 1, "native_1536": 2, "pennylane_1": 1, "jax_192": 2}
"""Calls of a sample; of others 5."""
PRODUCT = "matrix_product"
"""Task that gives the rate of arithmetic of this machine."""
ROUNDS = {"pennylane_1": 2}
"""Rounds with a sample of what takes ten thousand times as long; of others all."""
Timed = Callable[[int], tuple[float, float]]
"""Makes so many calls; returns the seconds that pass, and those of the CPU."""


def main() -> None:
    parser = _harness.parser(
        "Energy and forces of boxes of water on a network of rank two.",
        "python benchmarks/liquid.py --peers deepmd/bin/python --deepmd model --json liquid.json",
        repeats=9,
    )
    parser.add_argument(
        "--peers", metavar="PYTHON", default=sys.executable,
        help="Python of an environment with deepmd-kit (default: this one)",
    )  # fmt: skip
    parser.add_argument(
        "--deepmd", type=Path, metavar="FOLDER", help="models that _deepmd_train.py has made"
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


def timed(call: Callable[[], Any]) -> Timed:
    """Return a function that makes a number of calls."""

    def seconds(calls: int) -> tuple[float, float]:
        begin, busy = time.perf_counter(), time.process_time()
        for _ in range(calls):
            call()
        return time.perf_counter() - begin, time.process_time() - busy

    return seconds


def measure(options: argparse.Namespace, progress: _harness.Progress) -> dict[str, Any]:
    """Time all of them in turn; what `--json` writes."""
    from qmd.potentials import native_model
    from qmd.potentials.tree.potential import compiled_in_cell

    sizes = list(SIZES)[: 2 if options.quick else 3]
    tasks: dict[str, Timed] = {}
    memory = 0.0
    for n in sizes:
        progress(f"native_{n}")
        symbols, positions, cell = box(SIZES[n])
        force = native_model(network(symbols, 2))
        tasks[f"native_{n}"] = timed(native(force, positions, cell))
        lists: Any = [held for _, held in force.lists]
        room = sum(held.n_bytes for held in lists)
        memory = (room + force.workspace.nbytes + force.program.nbytes) / n
    peak = _peak_MB()
    symbols, positions, cell = box(1)
    arithmetic = _arithmetic.operations(network(symbols, 2), positions, cell)
    tasks[PRODUCT] = timed(_arithmetic.matrix_product())
    if (os.cpu_count() or 1) > 1:
        progress("two_cores_192")
        shared = native_model(network(symbols, 2), threads=2)
        tasks["two_cores_192"] = timed(native(shared, positions, cell))
    if not options.quick:
        progress("rank_one_192")
        one = native_model(network(symbols, 1))
        tasks["rank_one_192"] = timed(native(one, positions, cell))
    skipped: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        peers = _peers(options, Path(folder), skipped, progress)
    tasks |= {f"{name}_192": _timed_by(peer) for name, peer in peers.items()}
    _harness.set_up_jax()
    progress("jax_192")
    in_cell = compiled_in_cell(network(symbols, 2))
    in_cell(positions, cell)
    tasks["jax_192"] = timed(lambda: in_cell(positions, cell))
    progress("pennylane_1")
    _add_pennylane(tasks, skipped)
    repeats = 2 if options.quick else options.repeats
    wall, cpu = _times(tasks, repeats, progress)
    versions = {name: peer.first["version"] for name, peer in peers.items()}
    for peer in peers.values():
        peer.close()
    ms = {name: 1e3 * statistics.median(times) for name, times in cpu.items()}
    found = _ratios(ms, sizes)
    if "two_cores_192" in wall:
        passed = [statistics.median(wall[f"{name}_192"]) for name in ("native", "two_cores")]
        found["two_cores_over_one"] = passed[0] / passed[1]
    return {
        "benchmark": "liquid", **found, **_rate(ms, sum(arithmetic.values())),
        "operations": arithmetic, "bytes_per_atom": memory,
        "peak_MB_of_process": peak, "cpu_ms": ms,
        "samples_cpu_ms": {name: [1e3 * t for t in times] for name, times in cpu.items()},
        "samples_ms": {name: [1e3 * t for t in times] for name, times in wall.items()},
        "cpu_us_per_centre": {str(n): 1e3 * ms[f"native_{n}"] / n for n in sizes},
        "repeats": repeats, "skipped": skipped,
        "model": {
            "qubits": N_QUBITS, "layers": N_LAYERS, "radial": N_RADIAL, "cutoff_A": CUTOFF_A,
            "rank": 2,
        },
        "deepmd": _training(options.deepmd) | {"versions": versions},
        **_harness.environment(["jax", "pennylane"], threads=2),
    }  # fmt: skip


def _peak_MB() -> float:
    """Largest memory that this process has held so far, JAX not yet at work."""
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size / (2**20 if sys.platform == "darwin" else 2**10)


def _ratios(ms: dict[str, float], sizes: list[int]) -> dict[str, float]:
    one, largest = ms["native_192"], sizes[-1]
    over = ("deepmd", "deepmd_compressed", "jax")
    found = {f"native_over_{name}": ms[f"{name}_192"] / one for name in over if f"{name}_192" in ms}
    if "pennylane_1" in ms:
        found["native_over_pennylane"] = ms["pennylane_1"] / (one / 192)
    found[f"cost_per_atom_{largest}_over_192"] = (ms[f"native_{largest}"] / largest) / (one / 192)
    return found


def _rate(ms: dict[str, float], operations: int) -> dict[str, float]:
    """Return the rate of a product of matrices, and the time of the kernel over its bound."""
    per_ms = _arithmetic.PRODUCT_OPERATIONS / ms[PRODUCT]
    return {
        "time_over_bound_of_arithmetic": ms["native_192"] / (operations / per_ms),
        "matrix_product_gflops": 1e-6 * per_ms,
    }


def _peers(
    options: argparse.Namespace, folder: Path, skipped: dict[str, str], progress: _harness.Progress
) -> dict[str, Peer]:
    """Start DeePMD-kit on each of its models that are there."""
    import numpy as np

    symbols, positions, cell = box(1)
    np.savez(folder / "start.npz", positions=positions, cell=cell, symbols=symbols)
    found = {}
    for name, file in PEERS.items():
        if options.deepmd is None or not (options.deepmd / file).exists():
            skipped[name] = "no trained model; see _deepmd_train.py"
            continue
        progress(name)
        model = (options.deepmd / file).resolve()
        try:
            peer = Peer(options.peers, "_liquid_peer.py", model, folder / "start.npz")
        except (OSError, RuntimeError) as error:
            skipped[name] = f"it does not start in that environment ({error})"
            continue
        if "missing" in peer.first:
            skipped[name] = peer.first["missing"]
            peer.close()
            continue
        found[name] = peer
    return found


def _training(folder: Path | None) -> dict[str, Any]:
    """Return steps, seconds and errors of the training of the DeePMD models, if they are known."""
    path = None if folder is None else folder / "training.json"
    if path is None or not path.exists():
        return {}
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def _add_pennylane(tasks: dict[str, Timed], skipped: dict[str, str]) -> None:
    """Add a centre with two neighbours: a third of what the three centres of a molecule take."""
    import importlib.util

    if importlib.util.find_spec("pennylane") is None:
        skipped["pennylane"] = "PennyLane is not installed"
        return
    from qmd.potentials.network.pennylane_energy import network_energy_and_forces

    symbols, positions, _ = box(1)
    three = network(symbols[:3], 2)
    molecule = timed(lambda: network_energy_and_forces(three, positions[:3]))
    molecule(1)

    def a_third(calls: int) -> tuple[float, float]:
        seconds, busy = molecule(calls)
        return seconds / 3, busy / 3

    tasks["pennylane_1"] = a_third


def _timed_by(peer: Peer) -> Timed:
    def seconds(calls: int) -> tuple[float, float]:
        answer = peer.answer(calls)
        return answer["seconds"], answer["cpu_seconds"]

    return seconds


def _times(
    tasks: dict[str, Timed], repeats: int, progress: _harness.Progress
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Seconds of a call of each task, in turn: those that pass, and those of the CPU."""
    wall: dict[str, list[float]] = {name: [] for name in tasks}
    cpu: dict[str, list[float]] = {name: [] for name in tasks}
    for turn in range(repeats):
        for name, task in tasks.items():
            if turn >= ROUNDS.get(name, repeats):
                continue
            progress(f"round {turn + 1} of {repeats}: {name}")
            calls = CALLS.get(name, 5)
            passed, busy = task(calls)
            wall[name].append(passed / calls)
            cpu[name].append(busy / calls)
    return wall, cpu


def markdown(result: dict[str, Any]) -> str:
    """Title, table and notes of a result of `measure`."""
    rows = []
    for name, samples in result["samples_cpu_ms"].items():
        if name == PRODUCT:
            continue
        kind, _, n = name.rpartition("_")
        passed, _ = _harness.spread(result["samples_ms"][name])
        each = 1e3 * result["cpu_ms"][name] / int(n)
        atoms = f"{n} atom{'s' if int(n) > 1 else ''}"
        rows.append([f"{kind.replace('_', ' ')}, {atoms}", *_harness.spread(samples),
                     _harness.number(each), passed])  # fmt: skip
    head = [
        "energy and forces of", "CPU ms", "middle half", "CPU us for each atom", "ms that pass"
    ]  # fmt: skip
    ratios = [f"{key}: {_harness.number(value)}" for key, value in result.items()
              if "_over_" in key]  # fmt: skip
    return "\n\n".join([
        "# Water in a periodic cell: energy and forces of a network of rank two",
        _harness.table(head, rows),
        f"{', '.join(ratios)}. Memory of the largest: {result['bytes_per_atom']:.0f} bytes an "
        f"atom; the process has held {result['peak_MB_of_process']:.0f} MB at most.",
        _arithmetic_words(result),
        *_deepmd_words(result["deepmd"]),
        *(f"Left out: {name}. {why}." for name, why in result["skipped"].items()),
    ])  # fmt: skip


def _arithmetic_words(result: dict[str, Any]) -> str:
    parts = result["operations"]
    shares = ", ".join(f"{name} {1e-6 * count:.1f}" for name, count in parts.items())
    rate = result["matrix_product_gflops"]
    return (
        f"Arithmetic of 192 atoms: {1e-6 * sum(parts.values()):.1f} million additions and "
        f"multiplications ({shares}), {1e-6 * sum(parts.values()) / rate:.2f} ms at the "
        f"{rate:.1f} GFLOP/s of a product of matrices on one core."
    )


def _deepmd_words(found: dict[str, Any]) -> list[str]:
    if "steps" not in found:
        return []
    errors = found["errors"]["plain"]
    energy, forces = errors["energy_rmse_meV_per_atom"], errors["forces_rmse_meV_per_A"]
    return [
        f"DeePMD-kit {found['versions'].get('deepmd', '')}: `se_e2_a` after {found['steps']} steps "
        f"of training ({found['cpu_seconds']:.0f} s of CPU): {forces:.0f} meV/A and {energy:.2f} "
        f"meV/atom (root mean squares) on {found['frames']} frames of the other stretch."
    ]


if __name__ == "__main__":
    main()
