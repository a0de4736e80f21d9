"""Energy and forces of Allegro: a batch of aspirin, and a cell of 256 atoms, beside nequip-allegro.

The networks have random parameters, those of nequip-allegro in ours: both must agree in energies
and forces before anything is timed. Neighbours are found before on both sides. All are timed in
turn, on one thread each.

`allegro_over_nequip_eager_aspirin` is the time of nequip-allegro in eager torch for 16 aspirins
over that of ours; `..._256` that for cells of copper and lithium, stresses included;
`..._compiled_...` those of torch.compile, which makes programs of two geometries or more only: a
call has two cells on all sides. nequip-allegro runs in an environment of its own
(``pip install "torch==2.13.0" nequip==0.19.1 nequip-allegro==0.8.3``), `--peers`.

`qdi_over_twin` is the time of the network with a circuit behind four features of each pair over
that of the network whose perceptron there has as many parameters; `qdi_layer_over_twin` that of
these layers alone, `pennylane_over_qdi` the time of PennyLane's batch for the circuit alone over
that of ours, each with the derivatives by the features; in `compiled_pennylane_over_qdi` JAX has
compiled PennyLane's, too. These are ratios of CPU time, which on a
machine with nothing else to do is the time that passes.
"""

import argparse
import functools
import importlib.util
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _harness
from _peers import Peer

FORM: dict[str, Any] = {
    "power": 6.0, "l_max": 2, "parity": True, "n_layers": 2, "n_scalars": 32, "n_tensors": 8,
    "two_body": [32], "latent": [32], "readout": [32],
}  # fmt: skip
"""The defaults of a training of qmd."""
N_RADIAL = 8
SYSTEMS: dict[str, dict[str, Any]] = {
    "aspirin": {"elements": ["C", "H", "O"], "cutoff": 5.0, "n_average": 14.0},
    "256": {"elements": ["Cu", "Li"], "cutoff": 4.6, "n_average": 34.0},
}
SCALE_EV, OFFSET_EV = 0.3, 0.4
N_MOLECULES, N_CELLS = 16, 2
SHAKE_A, LATTICE_A = 0.1, 3.7
N_FEATURES, HIDDEN_OF_TWIN, HIDDEN_OF_CIRCUIT = 4, (7, 4), (8,)
"""The twin has 72 numbers behind its features; the circuit has 24, and 49 are behind it."""
N_PAIRS = 6720
"""Pairs of the layers alone: those of the aspirins."""
AGREEMENT = {"energies_eV": 1e-9, "forces_eV_per_A": 1e-9}
"""Sums of ten thousand pairs of the order of 0.1 eV are rounded to 1e-12."""
CALLS = {"nequip_eager": 1, "nequip_compiled": 1, "pennylane": 1, "layer": 30, "circuit": 30}
"""Calls of a sample, 30 of those that take a millisecond; of others 3."""
ASPIRIN = {
    "C": [(2.01, -1.18, -0.02), (1.21, 1.29, -0.66), (2.95, -0.43, -0.74), (2.45, 0.73, -1.2),
          (-2.8, 2.46, 0.4), (0.64, -0.82, 0.29), (0.34, 0.52, 0.01), (-0.29, -1.79, 0.86),
          (-1.72, 1.66, -0.31)],
    "O": [(-1.38, -1.62, 1.39), (-1.68, 1.39, -1.46), (0.21, -3.05, 0.52), (-0.82, 1.12, 0.6)],
    "H": [(-0.18, -3.73, 1.05), (2.37, -2.09, 0.44), (0.93, 2.3, -0.92), (3.91, -0.87, -0.97),
          (3.13, 1.49, -1.68), (-2.62, 3.47, 0.55), (-3.76, 2.57, -0.16), (-2.77, 1.96, 1.42)],
}  # fmt: skip
"""Angstrom, in the middle of a trajectory."""
Timed = Callable[[int], tuple[float, float]]
"""Makes so many calls; returns the seconds that pass, and those of the CPU."""


def main() -> None:
    parser = _harness.parser(
        "Energy and forces of Allegro beside nequip-allegro, and of its circuits.",
        "python benchmarks/allegro.py --peers allegro/bin/python --json allegro.json",
        repeats=7,
    )
    parser.add_argument(
        "--peers", metavar="PYTHON", default=sys.executable,
        help="Python of an environment with nequip-allegro (default: this one)",
    )  # fmt: skip
    parser.add_argument(
        "--modes", nargs="+", choices=("eager", "compiled"), default=("eager", "compiled"),
        help="forms of nequip-allegro; compiling takes minutes",
    )  # fmt: skip
    _harness.run(parser.parse_args(), measure, markdown)


def geometries(name: str) -> tuple[list[str], Any, Any]:
    """Return symbols, positions (frames, atoms, 3) and the cell, zeros without one."""
    import numpy as np

    rng = np.random.default_rng(1)
    if name == "aspirin":
        symbols = [symbol for symbol, places in ASPIRIN.items() for _ in places]
        one = np.array([place for places in ASPIRIN.values() for place in places])
        frames, cell = N_MOLECULES, np.zeros((3, 3))
    else:
        corners = np.array(list(np.ndindex(4, 4, 4)), float)
        basis = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
        one = LATTICE_A * (corners[:, None] + basis).reshape(-1, 3)
        symbols = ["Li", "Cu"] * (len(one) // 2)
        frames, cell = N_CELLS, 4 * LATTICE_A * np.eye(3)
    return symbols, one + SHAKE_A * rng.standard_normal((frames, *one.shape)), cell


def network(name: str, symbols: list[str], read_out: str = "plain") -> Any:
    """Return a network with random parameters."""
    from qmd.potentials import QDI, Allegro, AllegroQdi

    system = SYSTEMS[name]
    elements: list[str] = system["elements"]
    form = {key: tuple(x) if isinstance(x, list) else x for key, x in FORM.items()} | {
        "kinds": tuple(elements.index(symbol) for symbol in symbols),
        "cutoff": system["cutoff"], "n_average": system["n_average"], "parameters": None,
    }  # fmt: skip
    bare: Allegro
    if read_out == "qdi":
        circuit = QDI(N_FEATURES, N_FEATURES)
        bare = AllegroQdi(**form, n_features=N_FEATURES, hidden=HIDDEN_OF_CIRCUIT, circuit=circuit)
    elif read_out == "mlp":
        bare = Allegro(**form, n_features=N_FEATURES, hidden=HIDDEN_OF_TWIN)
    else:
        bare = Allegro(**form, n_features=1, hidden=())
    return bare.with_random_parameters(
        1, n_kinds=len(elements), n_radial=N_RADIAL, scale=SCALE_EV, offset=OFFSET_EV
    )


def ours(model: Any, positions: Any, cell: Any) -> Callable[[], tuple[Any, Any]]:
    """Return a call that gives energies and forces of all frames, and virials in a cell."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from qmd.integrators import neighbour_pairs
    from qmd.potentials import jax_model
    from qmd.potentials.tree.potential import with_slots

    if not cell.any():
        molecules = jax.jit(jax.vmap(jax.value_and_grad(lambda x: jax_model.energy(model, x))))
        return functools.partial(_negative, lambda: molecules(positions))

    def strained(x: Any, strain: Any, pairs: Any) -> Any:
        by = jnp.eye(3) + strain
        return jax_model.energy_in_cell(model, x @ by, cell @ by, pairs)

    of_cell = jax.jit(jax.value_and_grad(strained, argnums=(0, 1)))
    pairs = [with_slots(*neighbour_pairs(x, cell, model.cutoff), len(x)) for x in positions]

    def frames() -> tuple[Any, Any]:
        found = [
            of_cell(x, jnp.zeros((3, 3)), known) for x, known in zip(positions, pairs, strict=True)
        ]
        return np.array([energy for energy, _ in found]), np.array([by[0] for _, by in found])

    return functools.partial(_negative, frames)


def _negative(evaluate: Callable[[], Any]) -> tuple[Any, Any]:
    import numpy as np

    energies, slopes = evaluate()
    return np.asarray(energies), -np.asarray(slopes)


def layer(read_out: str) -> Callable[[], Any]:
    """Return a call of what is behind the features of pairs, and its derivatives by them."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from qmd.potentials.allegro.jax_circuit import expectations
    from qmd.potentials.allegro.jax_energy import head

    model = network("aspirin", ["C", "H"], read_out)

    def energy(x: Any) -> Any:
        if read_out == "qdi":
            x = expectations(model.circuit, model.parameters.angles, x)
        return jnp.sum(head(model.parameters.head, model.widths_of_head, x))

    features = np.random.default_rng(2).standard_normal((N_PAIRS, N_FEATURES))
    function = jax.jit(jax.value_and_grad(energy))
    return lambda: jax.block_until_ready(function(features))


def circuits(n_pairs: int) -> dict[str, Callable[[], Any]]:
    """Return calls of the circuit alone and its derivatives, ours and PennyLane's in a batch."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    from pennylane import numpy as traced

    from qmd.potentials.allegro.jax_circuit import expectations
    from qmd.potentials.qdi.pennylane_form import qnode

    model = network("aspirin", ["C", "H"], "qdi")
    circuit, angles = model.circuit, model.parameters.angles
    features = np.random.default_rng(2).standard_normal((n_pairs, N_FEATURES))
    function = jax.jit(jax.value_and_grad(lambda x: jnp.sum(expectations(circuit, angles, x))))
    node = qnode(circuit, interface="autograd", diff_method="backprop")

    def total(x: Any) -> Any:
        return traced.sum(traced.stack(node(traced.array(angles, requires_grad=False), x.T)))

    import pennylane

    slope = pennylane.grad(total)
    wanted = slope(traced.array(features, requires_grad=True))
    compiled_node = qnode(circuit, interface="jax")

    def compiled_total(x: Any) -> Any:
        return jnp.sum(jnp.stack(compiled_node(jnp.asarray(angles), x.T)))

    compiled = jax.jit(jax.value_and_grad(compiled_total))
    for found in (function(features), compiled(features)):
        np.testing.assert_allclose(found[1], wanted, rtol=0, atol=1e-12)
    return {
        "circuit": lambda: jax.block_until_ready(function(features)),
        "pennylane": lambda: slope(traced.array(features, requires_grad=True)),
        "pennylane_compiled": lambda: jax.block_until_ready(compiled(features)),
    }


def measure(options: argparse.Namespace, progress: _harness.Progress) -> dict[str, Any]:
    """Time all of them in turn; what `--json` writes."""
    _harness.set_up_jax()
    tasks: dict[str, Timed] = {}
    skipped: dict[str, str] = {}
    agreement: dict[str, float] = {}
    peers: dict[str, Peer] = {}
    names = list(SYSTEMS)[: 1 if options.quick else 2]
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            found = _peers(options, name, Path(folder), skipped, progress)
            peers |= {key: peer for key, (peer, _) in found.items()}
            results = [result for _, result in found.values()]
            agreement |= _add_ours(tasks, name, results, progress)
    tasks |= {key: _timed_by(peer) for key, peer in peers.items()}
    for read_out in ("mlp", "qdi"):
        tasks[f"layer_{read_out}"] = timed(layer(read_out))
    _add_circuits(tasks, skipped, progress, 100 if options.quick else N_PAIRS)
    wall, cpu = _times(tasks, 2 if options.quick else options.repeats, progress)
    first = {key: peer.first for key, peer in peers.items()}
    for peer in peers.values():
        peer.close()
    ms = {name: 1e3 * statistics.median(times) for name, times in cpu.items()}
    return {
        "benchmark": "allegro", **ratios(ms), "agreement": agreement, "cpu_ms": ms,
        "samples_cpu_ms": {name: [1e3 * t for t in times] for name, times in cpu.items()},
        "samples_ms": {name: [1e3 * t for t in times] for name, times in wall.items()},
        "repeats": 2 if options.quick else options.repeats, "skipped": skipped,
        "model": FORM | {"n_radial": N_RADIAL}, "systems": SYSTEMS, "nequip": first,
        **_harness.environment(["jax", "pennylane"]),
    }  # fmt: skip


def ratios(ms: dict[str, float]) -> dict[str, float]:
    """Return the ratios that the module describes, of those that have been measured."""
    found = {}
    for name in SYSTEMS:
        for mode in ("eager", "compiled"):
            if f"nequip_{mode}_{name}" in ms:
                over = ms[f"nequip_{mode}_{name}"] / ms[f"plain_{name}"]
                found[f"allegro_over_nequip_{mode}_{name}"] = over
    found["qdi_over_twin"] = ms["qdi_aspirin"] / ms["mlp_aspirin"]
    found["qdi_layer_over_twin"] = ms["layer_qdi"] / ms["layer_mlp"]
    if "pennylane" in ms:
        found["pennylane_over_qdi"] = ms["pennylane"] / ms["circuit"]
        found["compiled_pennylane_over_qdi"] = ms["pennylane_compiled"] / ms["circuit"]
    return found


def _peers(
    options: argparse.Namespace, name: str, folder: Path, skipped: dict[str, str],
    progress: _harness.Progress,
) -> dict[str, tuple[Peer, Path]]:  # fmt: skip
    """Start nequip-allegro on a system in all of its forms; what its first call gave."""
    import numpy as np

    symbols, positions, cell = geometries(name)
    np.savez(folder / f"{name}.npz", symbols=symbols, positions=positions, cell=cell)
    (folder / f"{name}.json").write_text(json.dumps(_form(name)))
    found = {}
    for mode in options.modes:
        key, result = f"nequip_{mode}_{name}", folder / f"{name}-{mode}.npz"
        progress(key)
        files = folder / f"{name}.json", folder / f"{name}.npz", result
        try:
            peer = Peer(options.peers, "_allegro_peer.py", *files, mode)
        except (OSError, RuntimeError) as error:
            skipped[key] = f"it does not start in that environment ({error})"
            continue
        if "missing" in peer.first:
            skipped[key] = peer.first["missing"]
            peer.close()
            continue
        found[key] = peer, result
    return found


def _add_ours(
    tasks: dict[str, Timed], name: str, results: list[Path], progress: _harness.Progress
) -> dict[str, float]:
    """Add the networks of a system; return how far they are from those of nequip-allegro."""
    import numpy as np

    symbols, positions, cell = geometries(name)
    agreement = {}
    for read_out in ("plain", "mlp", "qdi"):
        progress(f"{read_out}_{name}")
        model = network(name, symbols, read_out)
        if read_out == "plain" and results:
            model = _with_parameters_of(results[0], name, symbols)
        call = ours(model, positions, cell)
        energies, forces = call()
        tasks[f"{read_out}_{name}"] = timed(call)
        for result in results if read_out == "plain" else []:
            with np.load(result) as file:
                off = {
                    "energies_eV": np.abs(energies - file["energies"]).max(),
                    "forces_eV_per_A": np.abs(forces.reshape(-1, 3) - file["forces"]).max(),
                }
            for key, distance in off.items():
                agreement[f"{result.stem}_{key}"] = float(distance)
                if not distance <= AGREEMENT[key]:
                    raise RuntimeError(f"{result.stem}: {key} differ by {distance}")
    return agreement


def _with_parameters_of(result: Path, name: str, symbols: list[str]) -> Any:
    """Return the network of nequip-allegro in our form."""
    import numpy as np

    sys.path.append(str(_harness.ROOT / "tests" / "helpers"))
    from nequip_parameters import network as in_our_form

    with np.load(result) as file:
        case = {key: file[key] for key in file}
    return in_our_form(case | {"form": _form(name) | {"species": symbols}})


def _form(name: str) -> dict[str, Any]:
    """Return the form of a network by the names of `_allegro_peer.py`."""
    n = len(SYSTEMS[name]["elements"])
    numbers = {"n_radial": N_RADIAL, "scales": [SCALE_EV] * n, "offsets": [OFFSET_EV] * n}
    return FORM | SYSTEMS[name] | numbers | {"dtype": "float64"}


def _add_circuits(
    tasks: dict[str, Timed], skipped: dict[str, str], progress: _harness.Progress, n_pairs: int
) -> None:
    if importlib.util.find_spec("pennylane") is None:
        skipped["pennylane"] = "PennyLane is not installed"
        return
    progress("pennylane")
    tasks |= {name: timed(call) for name, call in circuits(n_pairs).items()}


def timed(call: Callable[[], Any]) -> Timed:
    """Return a function that makes a number of calls."""

    def seconds(calls: int) -> tuple[float, float]:
        begin, busy = time.perf_counter(), time.process_time()
        for _ in range(calls):
            call()
        return time.perf_counter() - begin, time.process_time() - busy

    return seconds


def _timed_by(peer: Peer) -> Timed:
    def seconds(calls: int) -> tuple[float, float]:
        answer = peer.answer(calls)
        return answer["seconds"], answer["cpu_seconds"]

    return seconds


def _times(
    tasks: dict[str, Timed], repeats: int, progress: _harness.Progress
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Seconds of a call of each task, in turn, after one that does not count."""
    wall: dict[str, list[float]] = {name: [] for name in tasks}
    cpu: dict[str, list[float]] = {name: [] for name in tasks}
    for turn in range(repeats + 1):
        for name, task in tasks.items():
            progress(f"round {turn} of {repeats}: {name}")
            calls = CALLS.get(name.rpartition("_")[0] or name, 3)
            passed, busy = task(calls)
            if turn:
                wall[name].append(passed / calls)
                cpu[name].append(busy / calls)
    return wall, cpu


def markdown(result: dict[str, Any]) -> str:
    """Title, table and notes of a result of `measure`."""
    rows = []
    for name, samples in result["samples_cpu_ms"].items():
        passed, _ = _harness.spread(result["samples_ms"][name])
        rows.append([_words(name), *_harness.spread(samples), passed])
    found = [f"{key}: {_harness.number(value)}" for key, value in result.items()
             if "_over_" in key]  # fmt: skip
    return "\n\n".join([
        "# Allegro: energy and forces",
        _harness.table(["what", "CPU ms", "middle half", "ms that pass"], rows),
        f"{', '.join(found)}. Double precision; two layers, tensors up to order 2, 32 scalars and "
        f"8 channels. A call has {N_MOLECULES} aspirins, or {N_CELLS} cells of 256 atoms.",
        *(f"Left out: {name}. {why}." for name, why in result["skipped"].items()),
    ])  # fmt: skip


def _words(name: str) -> str:
    kind, _, system = name.rpartition("_")
    if system not in SYSTEMS:
        return {
            "layer_mlp": "perceptron behind the features, alone",
            "layer_qdi": "circuit and perceptron behind the features, alone",
            "circuit": "circuit alone",
            "pennylane": "circuit alone, PennyLane",
            "pennylane_compiled": "circuit alone, PennyLane compiled by JAX",
        }[name]
    what = {"plain": "ours", "mlp": "ours +MLP", "qdi": "ours +QDI"}.get(
        kind, kind.replace("_", " ").replace("nequip", "nequip-allegro,")
    )
    return f"{what}: {'aspirins' if system == 'aspirin' else 'cells of 256 atoms'}"


if __name__ == "__main__":
    main()
