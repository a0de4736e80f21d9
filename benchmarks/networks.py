"""Forces of atom-centred networks: the native kernel, its centres in parallel, and JAX.

Ethanol as it ships has nine centres, two of each twelve lanes empty; eight ethanols by the same
numbers have 72. All of them give the same numbers, which is looked at first. Parallel centres use
all cores, everything else one.
"""

import argparse
import functools
import os
import statistics
from typing import Any

import _harness

POTENTIAL, COPIES, APART = "qnn-ethanol", 8, 4.5
"""Name; how often it is copied along a cube; edge of that cube, angstrom."""
CALLS = {"ethanol": 200, "ethanols": 10}
"""Forces in one sample of a native kernel; JAX takes a tenth."""
ENERGY_TOLERANCE, FORCE_TOLERANCE = 1e-10, 1e-8
"""eV, eV/angstrom"""


def main() -> None:
    parser = _harness.parser(
        "Forces of atom-centred networks: native, parallel, JAX.",
        "python benchmarks/networks.py --json networks.json --markdown networks.md",
        repeats=15,
    )
    options = parser.parse_args()
    if options.quick:
        options.repeats = 2
    _harness.run(options, measure, markdown)


def measure(options: argparse.Namespace, progress: _harness.Progress) -> dict[str, Any]:
    """Compare all that is timed, then time it; what `--json` writes."""
    progress("loading")
    os.environ["NUMBA_NUM_THREADS"] = str(os.cpu_count())  # for the parallel kernel alone
    _harness.set_up_jax()
    import numpy as np

    from qmd.forces.catalogue import load_package
    from qmd.potentials import centred_native, native_model, on_atoms

    package = load_package(POTENTIAL, _harness.ROOT)
    member = package.model.members[0]
    corners = APART * np.array(list(np.ndindex(2, 2, 2)), float)
    one = package.test_positions[0] - package.test_positions[0].mean(axis=0)
    systems = {
        "ethanol": (member, one),
        "ethanols": (
            on_atoms(member, member.kinds * COPIES), (one + corners[:, None]).reshape(-1, 3)
        ),
    }  # fmt: skip
    tasks, calls = {}, {}
    for name, (model, positions) in systems.items():
        progress(f"compiling: {name}")
        serial = native_model(model)
        parallel = centred_native.native_kernel(model, parallel=True)
        expected = _native(serial, positions, 1)()
        for kind, task in (
            ("native", _native(serial, positions, CALLS[name])),
            ("parallel", _native(parallel, positions, CALLS[name])),
            ("jax", _jax(model, positions, CALLS[name] // 10)),
        ):
            _check(f"{name}, {kind}", task(), expected)
            tasks[f"{name}_{kind}"] = task
            calls[f"{name}_{kind}"] = CALLS[name] // (10 if kind == "jax" else 1)
    times = _harness.interleaved(tasks, options.repeats, progress)
    us = {name: [1e6 * t / calls[name] for t in times[name]] for name in tasks}
    medians = {name: statistics.median(sample) for name, sample in us.items()}
    return {
        "benchmark": "networks",
        **{
            f"{name}_{kind}_over_native": medians[f"{name}_native"] / medians[f"{name}_{kind}"]
            for name in systems
            for kind in ("parallel", "jax")
        },
        "us": medians,
        "samples_us": us,
        "centres": {name: len(positions) for name, (_, positions) in systems.items()},
        "threads": os.cpu_count(),
        "repeats": options.repeats,
        "potential": POTENTIAL,
        **_harness.environment([]),
    }


def _native(kernel: Any, positions: Any, calls: int) -> Any:
    """A task that takes the same positions so many times."""
    import numpy as np

    from qmd.potentials import evaluate_all

    return functools.partial(evaluate_all, kernel, np.repeat(positions[None], calls, axis=0))


def _jax(model: Any, positions: Any, calls: int) -> Any:
    import jax

    from qmd.potentials import ModelPotential

    potential = ModelPotential(model)
    function = jax.jit(lambda x: potential.energy_and_forces(x))

    def task() -> Any:
        for _ in range(calls):
            energy, forces = jax.block_until_ready(function(positions))
        return [energy], [forces]

    return task


def _check(what: str, found: Any, expected: Any) -> None:
    """Raise NumericalError unless both have the same energy and forces."""
    import numpy as np

    from qmd.errors import NumericalError

    energy, force = (
        float(np.abs(np.asarray(a[0]) - np.asarray(b[0])).max())
        for a, b in zip(found, expected, strict=True)
    )
    if not (energy <= ENERGY_TOLERANCE and force <= FORCE_TOLERANCE):
        raise NumericalError(
            f"{what} is {energy:.1e} eV and {force:.1e} eV/angstrom from the native kernel; "
            f"expected {ENERGY_TOLERANCE} and {FORCE_TOLERANCE} at most",
            hint="run the tests of the networks",
        )


def markdown(result: dict[str, Any]) -> str:
    """Title and table of a result of `measure`."""
    labels = {
        "native": "native kernel, one core",
        "parallel": f"native kernel, {result['threads']} cores",
        "jax": "JAX, one core",
    }
    rows = []
    for name, samples in result["samples_us"].items():
        system, kind = name.split("_")
        ratio = "1" if kind == "native" else _harness.number(result[f"{name}_over_native"])
        cells = [str(result["centres"][system]), labels[kind], *_harness.spread(samples), ratio]
        rows.append(cells)
    head = ["centres", "interpreter", "us a force", "middle half", "speed over native"]
    return "\n\n".join(["# Forces of atom-centred networks", _harness.table(head, rows)])


if __name__ == "__main__":
    main()
