"""Table of the speed targets and of the measured values, `results/targets.md`.

The script reads the JSON files that the other scripts have written; it measures nothing itself.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import _harness

RESULTS = Path(__file__).parent / "results"


class Target(NamedTuple):
    """Measured ratio, with its required value and a stretch goal."""

    what: str
    benchmark: str
    value: Callable[[dict[str, Any]], float | None]
    least: float
    stretch: float
    unit: str = "x"
    smaller: bool = False
    """True if smaller is better."""

    def verdict(self, value: float) -> str:
        if self.smaller:
            value, least, stretch = -value, -self.least, -self.stretch
        else:
            least, stretch = self.least, self.stretch
        return "missed" if value < least else "reached" if value < stretch else "stretch reached"


def _key(name: str) -> Callable[[dict[str, Any]], float | None]:
    return lambda result: result.get(name)


TARGETS = (
    Target("H2O NVE: steps over ASE with the same JAX function", "md_loop",
           _key("native_over_ase_jax"), 100, 170),
    Target("H2O NVE: steps over jax-md with the same JAX function", "md_loop",
           _key("native_over_jax_md"), 10, 15),
    Target("H2O, 11 layers: forces over PennyLane lightning, adjoint", "force",
           _key("native_over_lightning_h2o"), 10_000, 25_000),
    Target("(H2O)2, 30 layers: forces over PennyLane lightning, adjoint", "force",
           _key("native_over_lightning_dimer"), 2_000, 4_000),
    Target("two H2O as shipped: forces over the JAX path", "force",
           _key("native_over_jax_waters"), 5, 20),
    Target("H2O, 11 layers: time over the arithmetic bound", "kernel",
           _key("h2o_over_bound"), 20, 5, smaller=True),
    Target("(H2O)2, 30 layers: time over the arithmetic bound", "kernel",
           _key("dimer_over_bound"), 20, 5, smaller=True),
    Target("replicas of H2O: steps per core over one trajectory", "replicas",
           lambda r: r["methods"]["velocity_verlet"]["batch_over_single_per_core"], 1, 4),
    Target("`qmd run` of 10 steps over importing NumPy, Numba and netCDF4", "startup",
           _key("qmd_run_over_imports"), 3, 2, smaller=True),
    Target("H2O: share of a run outside forces and integration", "output",
           lambda r: 100 * r["share"]["h2o"], 10, 3, " %", smaller=True),
    Target("(H2O)2: share of a run outside forces and integration", "output",
           lambda r: 100 * r["share"]["dimer"], 10, 3, " %", smaller=True),
    Target("GPU, 65,536 dimers: configurations per second over one core", "batch",
           _key("gpu_65536_over_native"), 50, 500),
)  # fmt: skip


def main() -> None:
    text = markdown({target.benchmark: _result(target.benchmark) for target in TARGETS})
    (RESULTS / "targets.md").write_text(text, encoding="utf-8")
    print(text, end="")


def _result(benchmark: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((RESULTS / f"{benchmark}.json").read_text("utf-8"))
    return result


def markdown(results: dict[str, dict[str, Any]]) -> str:
    """Return the table; a target whose peer or device was not available says so."""
    rows = []
    for target in TARGETS:
        value = target.value(results[target.benchmark])
        measured = ("not measured: not available" if value is None
                    else f"{_harness.number(value)}{target.unit}")  # fmt: skip
        sign = "<=" if target.smaller else ">="
        rows.append([
            target.what, f"{sign} {target.least:,}{target.unit}",
            f"{sign} {target.stretch:,}{target.unit}", measured,
            "-" if value is None else target.verdict(value), f"`{target.benchmark}.py`",
        ])  # fmt: skip
    head = ["target", "required", "stretch goal", "measured", "verdict", "script"]
    note = "Written by `python benchmarks/targets.py` from the results of the other scripts."
    return f"# Speed targets\n\n{_harness.table(head, rows)}\n\n{note}\n"


if __name__ == "__main__":
    main()
