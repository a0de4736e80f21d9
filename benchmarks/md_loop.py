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
import importlib.util
import statistics
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
    _harness.run(options, measure, markdown)


def measure(options: argparse.Namespace, progress: _harness.Progress) -> dict[str, Any]:
    """Make the loops, hold them against each other, time them; what `--json` writes."""
    progress("loading")
    _harness.set_up_jax()
    from _loops import thermal_start

    start = thermal_start(options.potential, STRUCTURE)
    loops, skipped = _make_loops(start, progress)
    agreement = _agreement(loops, progress)
    steps = {name: options.steps * STEPS_FACTOR[name] for name in loops}
    tasks = {name: (lambda n=name: loops[n].advance(steps[n])) for name in loops}
    times = _harness.interleaved(tasks, options.repeats, progress)
    us = {n: [1e6 * t / steps[n] for t in sample] for n, sample in times.items()}
    medians = {n: statistics.median(sample) for n, sample in us.items()}
    native = medians["native"]
    ratios = {f"native_over_{n}": t / native for n, t in medians.items() if n != "native"}
    return {
        "benchmark": "md_loop",
        **ratios,
        "us_per_step": medians,
        "samples_us_per_step": us,
        "steps_per_sample": steps,
        "repeats": options.repeats,
        "skipped": skipped,
        "agreement": agreement,
        "potential": {"name": start.package.name, "sha256": start.package.sha256},
        **_harness.environment(["ase", "jax-md"]),
    }


def _make_loops(
    start: "Start", progress: _harness.Progress
) -> tuple[dict[str, "Loop"], dict[str, str]]:
    """The loops, and for a peer that is not installed the reason."""
    from _loops import ASELoop, JaxMDLoop, NumbaLoop

    progress("compiling")
    loops: dict[str, Loop] = {
        "native": NumbaLoop(start, "native"),
        "callback": NumbaLoop(start, "jax"),
        "ase_jax": ASELoop(start),
    }
    if importlib.util.find_spec("jax_md") is None:
        return loops, {"jax_md": "jax-md is not installed; it comes with the extra `bench`"}
    return loops | {"jax_md": JaxMDLoop(start)}, {}


def _agreement(loops: dict[str, "Loop"], progress: _harness.Progress) -> dict[str, Any]:
    """Distance of every loop from the native one after `CHECKED_STEPS` steps.

    Raises
    ------
    NumericalError
        If one is beyond the tolerance: its times would be those of other physics.
    """
    from qmd.errors import NumericalError

    ends: dict[str, End] = {}
    for name, loop in loops.items():
        progress(f"checking: {name}")
        loop.advance(CHECKED_STEPS)
        ends[name] = loop.end()
    native = ends.pop("native")
    found: dict[str, Any] = {"steps": CHECKED_STEPS}
    for name, end in ends.items():
        moved = float(abs(end.positions - native.positions).max())
        energy = abs(end.total_energy - native.total_energy)
        if not (moved <= POSITION_TOLERANCE and energy <= ENERGY_TOLERANCE):
            raise NumericalError(
                f"After {CHECKED_STEPS} steps `{name}` is {moved:.1e} angstrom and {energy:.1e} eV "
                f"from the native loop; expected up to {POSITION_TOLERANCE}, {ENERGY_TOLERANCE}",
                hint="the loops do not do the same physics: compare their forces at the start",
            )
        found[name] = {"positions_A": moved, "total_energy_eV": energy}
    return found


LABELS = {
    "native": "qmd, native kernel",
    "callback": "qmd, JAX function called in each step",
    "ase_jax": "ASE VelocityVerlet, jitted JAX function",
    "jax_md": "jax-md `simulate.nve` in `fori_loop`, same JAX energy",
}


def markdown(result: dict[str, Any]) -> str:
    """Title, table and check of a result of `measure`."""
    rows = []
    for name, samples in result["samples_us_per_step"].items():
        ratio = result.get(f"native_over_{name}", 1.0)
        distance = result["agreement"].get(name, {}).get("positions_A")
        rows.append([
            LABELS[name], *_harness.spread(samples), _harness.number(ratio),
            "-" if distance is None else f"{distance:.0e}",
        ])  # fmt: skip
    head = ["loop", "us/step", "middle half", "time over native", "distance, angstrom"]
    agreement = result["agreement"]
    return "\n\n".join([
        "# H2O, NVE, velocity Verlet at 0.5 fs: time per step",
        _harness.table(head, rows),
        f"Distance: largest difference of a coordinate from the native loop after "
        f"{agreement['steps']} steps; total energies differ by less than "
        f"{ENERGY_TOLERANCE:.0e} eV. "
        f"Potential {result['potential']['name']} ({result['potential']['sha256'][:12]}).",
        *(f"Left out: {name}. {why}." for name, why in result["skipped"].items()),
    ])  # fmt: skip


if __name__ == "__main__":
    main()
