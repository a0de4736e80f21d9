"""Time per step of four MD loops that make the same trajectory with the same trained model.

One molecule of water, NVE, velocity Verlet at 0.5 fs, from one thermal start at 300 K:

============  ==================================================================================
`native`      qmd: Numba loop and native kernel
`callback`    qmd: Numba loop that calls the jitted JAX function in each step
`ase_jax`     ASE: `VelocityVerlet` and a calculator around the same jitted JAX function
`jax_md`      jax-md: `simulate.nve` in a jitted `fori_loop`, the JAX energy with its parameters
              as constants (extra `bench`)
============  ==================================================================================

The times count only if all loops agree after `CHECKED_STEPS` steps.
"""

import argparse
from typing import TYPE_CHECKING, Any

import _harness

if TYPE_CHECKING:
    from _loops import End, Loop, Start

STRUCTURE = "h2o"
CHECKED_STEPS = 200
POSITION_TOLERANCE, ENERGY_TOLERANCE = 1e-8, 1e-9
"""angstrom, eV. The interpreters of a circuit agree to 1e-10 eV/angstrom in the forces. Should
the difference keep its sign for these 100 fs, a hydrogen is off by F t^2 / 2m = 5e-9 angstrom
and, at thermal speed, the total energy by m v dv = F v t = 2e-10 eV per coordinate."""
STEPS_FACTOR = {"native": 50, "callback": 1, "ase_jax": 1, "jax_md": 5}
"""Steps per sample in units of `--steps`, so that all samples take about as long."""


def main() -> None:
    parser = _harness.parser(
        "Time per step of water in qmd, in ASE and in jax-md, all with the same trained circuit.",
        "python benchmarks/md_loop.py --json md_loop.json --markdown md_loop.md",
        repeats=15,
    )
    parser.add_argument(
        "--steps", type=_harness.at_least(1), default=1000,
        help="steps per sample in the slowest loop; the faster ones make up to 50 times as many "
        "(default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--potential", default="sivqlm-h2o", help="name or .qmdp of H2O (default: %(default)s)"
    )
    options = parser.parse_args()
    if options.quick:
        options.repeats, options.steps = 3, 100
    result = measure(options, _harness.Progress())
    _harness.report(options, result, markdown(result))


def measure(options: argparse.Namespace, progress: _harness.Progress) -> dict[str, Any]:
    """Make the loops, hold them against each other, time them; what `--json` writes."""
    _harness.one_thread()
    progress("loading")
    from _loops import start
    from qmd.jax_force import use_compilation_cache

    use_compilation_cache()
    begin = start(options.potential, STRUCTURE)
    loops, skipped = _make_loops(begin, progress)
    agreement = _agreement(loops, progress)
    steps = {name: options.steps * STEPS_FACTOR[name] for name in loops}
    tasks = {name: (lambda n=name: loops[n].advance(steps[n])) for name in loops}
    times = _harness.interleaved(tasks, options.repeats, progress)
    progress.clear()
    us = {n: [1e6 * t / steps[n] for t in sample] for n, sample in times.items()}
    medians = {n: _harness.median(sample) for n, sample in us.items()}
    ratios = {f"native_over_{n}": t / medians["native"] for n, t in medians.items() if n != "native"}
    return {
        "benchmark": "md_loop",
        **ratios,
        "us_per_step": medians,
        "samples_us_per_step": us,
        "steps_per_sample": steps,
        "repeats": options.repeats,
        "skipped": skipped,
        "agreement": agreement,
        "potential": {"name": begin.package.name, "sha256": begin.package.sha256},
        **_harness.environment(["ase", "jax-md"]),
    }


def _make_loops(
    start: "Start", progress: _harness.Progress
) -> tuple[dict[str, "Loop"], dict[str, str]]:
    """The loops, and for those that cannot be made the reason."""
    from _loops import ASELoop, JaxMDLoop, NumbaLoop

    kinds = {
        "native": lambda: NumbaLoop(start, "native"),
        "callback": lambda: NumbaLoop(start, "jax"),
        "ase_jax": lambda: ASELoop(start),
        "jax_md": lambda: JaxMDLoop(start),
    }
    loops, skipped = {}, {}
    for name, make in kinds.items():
        progress(f"compiling: {name}")
        try:
            loops[name] = make()
        except ImportError as error:
            skipped[name] = f"{error}; install the extra `bench`"
    return loops, skipped
