"""Time of energy and forces of one configuration: native kernel, JAX, PennyLane.

For the circuits of water (4 qubits) and of its dimer (7 qubits) in the paper's size, with random
parameters, as the time does not depend on them; and for the potential of two waters that ships (two
molecules, their interaction, a wall). The times count only if all means agree.
"""

import argparse
import functools
import importlib.util
import statistics
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import _harness

if TYPE_CHECKING:
    from _forces import Task

MOLECULES = {
    "h2o": "H2O, 4 qubits, 11 layers",
    "dimer": "(H2O)2, 7 qubits, 30 layers",
    "waters": "two H2O as they ship (sivqlm-h2o-dimer)",
}
LABELS = {
    "native": "qmd, native kernel",
    "jax": "qmd, jitted JAX function",
    "lightning": "PennyLane lightning.qubit, adjoint, autograd QNode",
    "lightning_device": "its simulator alone: tape ready, no forces formed",
    "default_qubit": "PennyLane default.qubit, jitted JAX through the QNode",
}
CALLS = {
    "native_h2o": 10_000, "jax_h2o": 500, "lightning_h2o": 1, "lightning_device_h2o": 5,
    "default_qubit_h2o": 20,
    "native_dimer": 500, "jax_dimer": 20, "lightning_dimer": 1, "lightning_device_dimer": 1,
    "native_waters": 200, "jax_waters": 20,
}  # fmt: skip
"""Evaluations in one sample: 30 ms or more."""
ENERGY_TOLERANCE, FORCE_TOLERANCE = 1e-10, 1e-8
"""eV, eV/angstrom. The interpreters agree to 1e-12 and 1e-10 with heads of 1 eV; the polar angles
that only PennyLane needs lose up to two digits near the poles."""


def main() -> None:
    parser = _harness.parser(
        "Time of energy and forces: native kernel, jitted JAX, PennyLane lightning.qubit.",
        "python benchmarks/force.py --json force.json --markdown force.md",
        repeats=15,
    )
    options = parser.parse_args()
    if options.quick:
        options.repeats = 2
    _harness.run(options, measure, markdown)


def measure(options: argparse.Namespace, progress: _harness.Progress) -> dict[str, Any]:
    """Make the tasks, hold them against each other, time them; what `--json` writes."""
    progress("loading")
    _harness.set_up_jax()
    tasks: dict[str, Callable[[], object]] = {}
    compile_s: dict[str, float] = {}
    for molecule in MOLECULES:
        for means, task in _checked_tasks(molecule, options.quick, compile_s, progress).items():
            name = f"{means}_{molecule}"
            tasks[name] = functools.partial(task, CALLS[name])
    times = _harness.interleaved(tasks, options.repeats, progress)
    us = {name: [1e6 * t / CALLS[name] for t in sample] for name, sample in times.items()}
    medians = {name: statistics.median(sample) for name, sample in us.items()}
    return {
        "benchmark": "force",
        **_ratios(medians),
        "us": medians,
        "samples_us": us,
        "repeats": options.repeats,
        "first_call_s": compile_s,
        "skipped": _skipped(options.quick),
        **_harness.environment(["PennyLane", "pennylane-lightning"]),
    }


_MISSING = "pennylane-lightning is not installed; it comes with the extra `bench`"
_SLOW = "long to compile, left out of a quick look"


def _skipped(quick: bool) -> dict[str, str]:
    skipped = {} if _lightning_installed() else {"lightning": _MISSING}
    return skipped | ({"default_qubit": _SLOW} if quick else {})


def _lightning_installed() -> bool:
    return importlib.util.find_spec("pennylane_lightning") is not None


def _ratios(medians: dict[str, float]) -> dict[str, float]:
    ratios = {}
    for name, median in medians.items():
        means, _, molecule = name.rpartition("_")
        if means != "native":
            ratios[f"native_over_{name}"] = median / medians[f"native_{molecule}"]
    return ratios


def _checked_tasks(
    molecule: str, quick: bool, first_call_s: dict[str, float], progress: _harness.Progress
) -> dict[str, "Task"]:
    """The tasks of one molecule; what the first call of each took is added to `first_call_s`.

    Raises
    ------
    NumericalError
        If one does not give the energy and forces of the native kernel.
    """
    import _forces
    import numpy as np

    from qmd.errors import NumericalError

    model = _forces.model(molecule)
    makers = {"native": _forces.native, "jax": _forces.jitted_jax}
    if _lightning_installed() and f"lightning_{molecule}" in CALLS:
        makers |= {"lightning": _forces.lightning, "lightning_device": _forces.lightning_device}
    if f"default_qubit_{molecule}" in CALLS and not quick:
        makers["default_qubit"] = _forces.default_qubit
    progress(f"compiling: {molecule}")
    tasks = {means: make(model) for means, make in makers.items()}
    native = tasks["native"](1)
    for means, task in tasks.items():
        begin = time.perf_counter()
        result = task(1)
        first_call_s[f"{means}_{molecule}"] = time.perf_counter() - begin
        forces = native.forces if result.forces is None else result.forces
        off = abs(result.energy - native.energy), float(np.abs(forces - native.forces).max())
        if not (off[0] <= ENERGY_TOLERANCE and off[1] <= FORCE_TOLERANCE):
            raise NumericalError(
                f"{molecule}: `{means}` is {off[0]:.1e} eV and {off[1]:.1e} eV/angstrom from the "
                f"native kernel; expected {ENERGY_TOLERANCE} and {FORCE_TOLERANCE} at most",
                hint="run the tests of the interpreters",
            )
    return tasks


def markdown(result: dict[str, Any]) -> str:
    """Title and tables of a result of `measure`."""
    parts = ["# Energy and forces of one configuration"]
    for molecule, title in MOLECULES.items():
        rows = []
        for means, label in LABELS.items():
            name = f"{means}_{molecule}"
            if name in result["samples_us"]:
                ratio = _harness.number(result.get(f"native_over_{name}", 1.0))
                rows.append([label, *_harness.spread(result["samples_us"][name]), ratio])
        parts.append(_harness.table([title, "us", "middle half", "time over native"], rows))
    if (first := result["first_call_s"].get("default_qubit_h2o")) is not None:
        parts.append(f"The first call of default.qubit took {first:.0f} s, to compile.")
    parts += [f"Left out: {name}. {why}." for name, why in result["skipped"].items()]
    return "\n\n".join(parts)


if __name__ == "__main__":
    main()
