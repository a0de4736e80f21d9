"""Steps per second of many replicas in one batch, beside one trajectory.

One molecule of water, velocity Verlet or Langevin BAOAB at 0.5 fs, native kernel, blocks of as many
steps as a run makes between two reports:

============  ==================================================================================
`single`      one trajectory, advanced block by block, as many steps as all replicas make
`batch`       all replicas, one thread
`threads`     all replicas, on `--threads` threads (default: the cores this process may use)
============  ==================================================================================

The times count only if the replicas end, bit for bit, where each ends alone. The ratio per core is
one of CPU times, which other programs on the machine disturb less than wall times.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import _harness

STRUCTURE = "h2o"
CHECKED = 3
"""Replicas that are compared with their run alone."""


def main() -> None:
    parser = _harness.parser(
        "Steps per second of replicas of water in one batch, beside one trajectory.",
        "python benchmarks/replicas.py --json replicas.json --markdown replicas.md",
        repeats=15,
    )
    parser.add_argument(
        "--replicas", type=_harness.at_least(1), default=1000, help="(default: %(default)s)"
    )
    parser.add_argument(
        "--block", type=_harness.at_least(1), default=100,
        help="steps between two reports (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--threads", type=_harness.at_least(1), default=None)
    parser.add_argument(
        "--potential", default="sivqlm-h2o", help="name or .qmdp of H2O (default: %(default)s)"
    )
    options = parser.parse_args()
    if options.quick:
        options.repeats, options.replicas, options.block = 3, 50, 20
    _harness.run(options, measure, markdown)


def measure(options: argparse.Namespace, progress: _harness.Progress) -> dict[str, Any]:
    """Check the replicas, then time them; what `--json` writes."""
    progress("loading")
    from qmd.jobs.cores import available_cores

    threads = options.threads or available_cores()
    found: dict[str, Any] = {}
    for kind in ("velocity_verlet", "langevin_baoab"):
        found[kind] = _measure(kind, options, threads, progress)
    return {
        "benchmark": "replicas",
        "methods": found,
        "replicas": options.replicas,
        "block": options.block,
        "threads": threads,
        "repeats": options.repeats,
        "potential": options.potential,
        **_harness.environment([], threads),
    }


def _measure(
    kind: str, options: argparse.Namespace, threads: int, progress: _harness.Progress
) -> dict[str, Any]:
    from qmd.forces.catalogue import load_package
    from qmd.forces.runnable import build_force
    from qmd.integrators import NativeReplicas, Stream
    from qmd.run.setup import build_integrator

    config, start, limits, masses = _start(kind, options)
    force = build_force(load_package(options.potential, _harness.ROOT).model, "native")
    integrator, n = build_integrator(config.integrator), options.block
    loops = {
        "batch": NativeReplicas(integrator, force, 1 / masses, config.seed, limits, 1),
        "threads": NativeReplicas(integrator, force, 1 / masses, config.seed, limits, threads),
    }

    def single() -> None:
        state = start.state(0)
        for _ in range(options.replicas):
            state = integrator.advance(
                state, force, 1 / masses, Stream(config.seed, 0), limits, n
            ).state

    progress(f"checking: {kind}")
    for name, loop in loops.items():
        _check(name, loop.advance(start, n).batch, start, integrator, force, masses, limits, n)
    every = {"single": single} | {k: (lambda x=x: x.advance(start, n)) for k, x in loops.items()}
    cpu_s: dict[str, list[float]] = {name: [] for name in every}
    tasks = {name: _with_cpu_time(task, cpu_s[name]) for name, task in every.items()}
    times = _harness.interleaved(tasks, options.repeats, progress)
    for loop in loops.values():
        loop.close()
    # All samples are of one length: on a busy machine a short one may escape the others' share.
    steps = options.replicas * n
    us = {k: [1e6 * t / steps for t in sample] for k, sample in times.items()}
    cpu = {k: statistics.median(sample[1:]) * 1e6 / steps for k, sample in cpu_s.items()}
    return {
        "us_per_step": {k: statistics.median(sample) for k, sample in us.items()},
        "samples_us_per_step": us,
        "cpu_us_per_step": cpu,
        "batch_over_single_per_core": cpu["single"] / cpu["batch"],
        "threads_over_single_per_core": cpu["single"] / cpu["threads"],
    }


def _with_cpu_time(task: Callable[[], object], seconds: list[float]) -> Callable[[], None]:
    """`task`, which then also notes the CPU time (s) of all its threads."""

    def timed() -> None:
        begin = time.process_time()
        task()
        seconds.append(time.process_time() - begin)

    return timed


def _start(kind: str, options: argparse.Namespace) -> Any:
    """Input, batch of thermal starts at 300 K, guards of a run, masses."""
    import json

    from qmd.config.load import LoadedConfig
    from qmd.run.config import RunConfig
    from qmd.run.setup import set_up
    from qmd.run.start import start_batch

    integrator: dict[str, Any] = {"kind": kind, "timestep_fs": 0.5}
    if kind == "langevin_baoab":
        integrator["temperature_K"] = 300.0
    config = RunConfig.model_validate(
        {
            "system": {"structure": STRUCTURE, "temperature_K": 300.0},
            "potential": options.potential,
            "integrator": integrator,
            "steps": 1,
            "replicas": options.replicas,
            "guards": {"on_leaving_domain": "warn"},  # checked all the same, at the same cost
        }
    )
    text = json.dumps(config.model_dump(mode="json"))
    setup = set_up(LoadedConfig(config, _harness.ROOT / "input.yaml", text, ""))
    return config, start_batch(setup), setup.limits, setup.system.masses


def _check(
    name: str, end: Any, start: Any, integrator: Any, force: Any, masses: Any, limits: Any, n: int
) -> None:
    """Raise NumericalError unless replicas end where they end alone."""
    from qmd.errors import NumericalError
    from qmd.integrators import Stream

    for row in range(min(CHECKED, len(start.replicas))):
        stream = Stream(1, int(start.replicas[row]))
        alone = integrator.advance(start.state(row), force, 1 / masses, stream, limits, n).state
        if not (end.positions[row] == alone.positions).all():
            raise NumericalError(
                f"Replica {row} of `{name}` does not end where it ends alone",
                hint="this is a fault of the program; please report it",
            )


LABELS = {"single": "one trajectory", "batch": "batch, one thread", "threads": "batch, {} threads"}


def markdown(result: dict[str, Any]) -> str:
    """Title and table of a result of `measure`."""
    rows = []
    for kind, found in result["methods"].items():
        for name, samples in found["samples_us_per_step"].items():
            label = f"{kind}, {LABELS[name].format(result['threads'])}"
            cpu, ratio = (
                found["cpu_us_per_step"][name],
                found.get(f"{name}_over_single_per_core", 1.0),
            )
            rows.append([
                label, *_harness.spread(samples), _harness.number(cpu), _harness.number(ratio),
            ])  # fmt: skip
    head = ["loop", "us/step", "middle half", "CPU us/step", "steps/s per core over one trajectory"]
    return "\n\n".join([
        f"# {result['replicas']} replicas of H2O in blocks of {result['block']} steps",
        _harness.table(head, rows),
        "Steps are those of all replicas together. The replicas end where each ends alone, to the "
        "last bit. The last column is the ratio of CPU times.",
    ])  # fmt: skip


if __name__ == "__main__":
    main()
