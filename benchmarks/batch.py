"""Energies and forces of many configurations at once: JAX on a GPU and on one core, native kernel.

Two molecules of water as they ship, at distorted configurations. The batch is one
compiled program, `jit(vmap(energy_and_forces))`; what it takes and gives stays on its device. The
native kernel takes one configuration after the other, on one core: it is what a GPU has to beat.
Without a GPU its rows are left out, and the report says so.
"""

import argparse
import functools
import statistics
from collections.abc import Callable
from typing import Any

import _harness

POTENTIAL, STRUCTURE = "sivqlm-h2o-dimer", "h2o-dimer"
SIZES = {"gpu": (1, 16, 256, 4096, 65536), "cpu": (1, 16, 256)}
"""Configurations in a batch; on one core larger ones gain nothing."""
AT_LEAST = 256
"""Configurations in one sample."""
NATIVE = 1024
"""Configurations in one sample of the native kernel."""
ENERGY_TOLERANCE, FORCE_TOLERANCE = 1e-10, 1e-8
"""eV, eV/angstrom: the interpreters agree to 1e-12 and 1e-10 with heads of 1 eV."""


def main() -> None:
    parser = _harness.parser(
        "Energies and forces of batches: JAX on a GPU and on one core, native kernel.",
        "python benchmarks/batch.py --json batch.json --markdown batch.md",
        repeats=9,
    )
    parser.add_argument(
        "--largest", type=_harness.at_least(1), default=max(SIZES["gpu"]),
        help="configurations of the largest batch (default: %(default)s)",
    )  # fmt: skip
    options = parser.parse_args()
    if options.quick:
        options.repeats, options.largest = 2, 16
    _harness.run(options, measure, markdown)


def measure(options: argparse.Namespace, progress: _harness.Progress) -> dict[str, Any]:
    """Make the batches, hold them against the native kernel, time them; what `--json` writes."""
    progress("loading")
    _harness.set_up_jax()
    from qmd.forces.catalogue import load_package
    from qmd.potentials import evaluate_all, native_model

    model = load_package(POTENTIAL, _harness.ROOT).model
    kernel, positions = native_model(model), _positions(max(options.largest, NATIVE))
    expected = evaluate_all(kernel, positions[:AT_LEAST])
    tasks: dict[str, Callable[[], object]] = {
        "native": functools.partial(evaluate_all, kernel, positions[:NATIVE])
    }
    configurations = {"native": NATIVE}
    devices = _devices()
    for kind, device in devices.items():
        for size in (size for size in SIZES[kind] if size <= options.largest):
            name, calls = f"{kind}_{size}", -(-AT_LEAST // size)
            progress(f"compiling: {name}")
            tasks[name] = _batch(model, positions[:size], device, calls, expected)
            configurations[name] = size * calls
    times = _harness.interleaved(tasks, options.repeats, progress)
    us = {name: [1e6 * t / configurations[name] for t in times[name]] for name in tasks}
    medians = {name: statistics.median(sample) for name, sample in us.items()}
    return {
        "benchmark": "batch",
        **{f"{name}_over_native": medians["native"] / us for name, us in medians.items()},
        "us": medians,
        "samples_us": us,
        "repeats": options.repeats,
        "potential": POTENTIAL,
        "gpu": devices["gpu"].device_kind if "gpu" in devices else None,
        **_harness.environment([]),
    }


def _devices() -> dict[str, Any]:
    """A GPU, if JAX sees one, and the CPU."""
    import jax

    gpus = [device for device in jax.devices() if device.platform == "gpu"]
    return ({"gpu": gpus[0]} if gpus else {}) | {"cpu": jax.devices("cpu")[0]}


def _positions(n: int) -> Any:
    """Positions (n, 6, 3), angstrom: the minimum with 0.05 angstrom of noise, and a gap that grows.

    The time does not depend on where.
    """
    import numpy as np

    from qmd.io.structure import BUILT_IN

    random = np.random.default_rng(1)
    positions = np.array(BUILT_IN[STRUCTURE][1]) + random.normal(0.0, 0.05, (n, 6, 3))
    positions[:, 3:] += random.uniform(0.0, 3.0, (n, 1, 1)) * np.array([1.0, 0.0, 0.0])
    return positions


def _batch(
    model: Any, positions: Any, device: Any, calls: int, expected: Any
) -> Callable[[], object]:
    """A task that evaluates `positions` so many times.

    Raises
    ------
    NumericalError
        If it does not give the energies and forces of the native kernel.
    """
    import jax
    import numpy as np

    from qmd.errors import NumericalError
    from qmd.potentials import ModelPotential

    function = jax.jit(jax.vmap(ModelPotential(model).energy_and_forces))
    held = jax.device_put(positions, device)

    def task() -> object:
        for _ in range(calls):
            found = jax.block_until_ready(function(held))
        return found

    energies, forces = (np.asarray(values) for values in function(held))
    n = min(len(energies), len(expected[0]))
    off = np.abs(energies[:n] - expected[0][:n]).max(), np.abs(forces[:n] - expected[1][:n]).max()
    if not (off[0] <= ENERGY_TOLERANCE and off[1] <= FORCE_TOLERANCE):
        raise NumericalError(
            f"{len(positions)} configurations on {device} are {off[0]:.1e} eV and {off[1]:.1e} "
            f"eV/angstrom from the native kernel; expected {ENERGY_TOLERANCE} and "
            f"{FORCE_TOLERANCE} at most",
            hint="run the tests of the interpreters",
        )
    return task


def markdown(result: dict[str, Any]) -> str:
    """Title and table of a result of `measure`."""
    rows = []
    for name, samples in result["samples_us"].items():
        label = "native kernel, one core"
        if name != "native":
            kind, size = name.split("_")
            where = result["gpu"] if kind == "gpu" else "one core"
            label = f"JAX, {where}, batch of {int(size):,}"
        ratio = _harness.number(result[f"{name}_over_native"])
        rows.append([label, *_harness.spread(samples), ratio])
    head = ["two H2O", "us a configuration", "middle half", "speed over native"]
    parts = ["# Energies and forces of many configurations", _harness.table(head, rows)]
    if result["gpu"] is None:
        parts.append("Left out: JAX on a GPU. JAX sees none here (`pip install 'jax[cuda12]'`).")
    return "\n\n".join(parts)


if __name__ == "__main__":
    main()
