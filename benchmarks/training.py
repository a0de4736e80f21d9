"""Time of the derivatives that a training needs: native kernel against JAX.

For the circuit of water and for the interaction of two waters, with random parameters: one step of
Adam on a batch, and one Jacobian. The times count only if both engines agree.
"""

import argparse
import statistics
from collections.abc import Callable
from typing import Any

import _harness

SIZES = {"h2o": (64, 473), "pair": (64, 128)}
"""Frames of a batch of Adam, and of a Jacobian."""
TITLES = {
    "h2o": "H2O, 11 layers, 69 numbers",
    "pair": "interaction of two H2O, 8 layers, 16 Gaussians, 1078 numbers",
}
ENGINES = {"native": "qmd, native kernel", "jax": "qmd, JAX"}


def main() -> None:
    parser = _harness.parser(
        "Time of the derivatives of a training: native kernel, JAX.",
        "python benchmarks/training.py --json training.json --markdown training.md",
        repeats=7,
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
    for model in ["h2o"] if options.quick else SIZES:
        tasks |= _checked_tasks(model, progress)
    times = _harness.interleaved(tasks, options.repeats, progress)
    ms = {name: [1e3 * t for t in sample] for name, sample in times.items()}
    medians = {name: statistics.median(sample) for name, sample in ms.items()}
    ratios = {
        f"native_over_{name}": median / medians[name.replace("jax", "native")]
        for name, median in medians.items()
        if name.startswith("jax")
    }
    return {
        "benchmark": "training",
        **ratios,
        "ms": medians,
        "samples_ms": ms,
        "repeats": options.repeats,
        **_harness.environment(["scipy"]),
    }


def _checked_tasks(model: str, progress: _harness.Progress) -> dict[str, Callable[[], object]]:
    """Adam and Jacobian of one model by both engines.

    Raises
    ------
    NumericalError
        If they do not agree.
    """
    import jax
    import numpy as np

    from qmd.errors import NumericalError
    from qmd.train.jax_engine import JaxEngine
    from qmd.train.native_engine import NativeEngine
    from qmd.train.problem import Loss, Problem

    potential, frames, theta = _start(model)
    n_batch, n_frames = SIZES[model]
    native, by_jax = (
        Problem(potential, frames, Loss(), engine) for engine in (NativeEngine, JaxEngine)
    )
    batch = tuple(part[:n_batch] for part in native.frames)
    assert isinstance(by_jax.engine, JaxEngine)
    value_and_slope = jax.jit(jax.value_and_grad(by_jax.engine.sum_of_losses))
    progress(f"compiling: {model}")
    slopes = [native.loss_and_slope(theta, batch)[1], np.asarray(value_and_slope(theta, batch)[1])]
    off = float(np.abs(slopes[0] - slopes[1]).max() / np.abs(slopes[1]).max())
    if not off <= 1e-5:
        raise NumericalError(f"{model}: the engines differ by {off:.1e} of the largest derivative")
    return {
        f"native_adam_{model}": lambda: native.loss_and_slope(theta, batch),
        f"jax_adam_{model}": lambda: jax.block_until_ready(value_and_slope(theta, batch)),
        f"native_jacobian_{model}": lambda: native.normal(theta),
        f"jax_jacobian_{model}": lambda: by_jax.normal(theta),
    }


def _start(model: str) -> tuple[Any, Any, Any]:
    """A potential, frames with random labels, and its parameters."""
    import numpy as np
    from jax.flatten_util import ravel_pytree

    from qmd.io.structure import BUILT_IN
    from qmd.potentials import water_pair
    from qmd.train.config import WaterConfig
    from qmd.train.problem import Frames

    random, n = np.random.default_rng(1), SIZES[model][1]
    structure = {"h2o": "h2o", "pair": "h2o-dimer"}[model]
    x = np.array(BUILT_IN[structure][1])
    x = x + random.normal(0.0, 0.05, (n, *x.shape))
    frames = Frames(x, random.standard_normal(n), random.standard_normal(x.shape))
    if model == "h2o":
        from pathlib import Path

        potential: Any = WaterConfig(kind="sivqlm-h2o").first_model(Path(), frames, 1)
    else:
        potential = water_pair.interaction(1, n_layers=8, n_radial=16)
    return potential, frames, np.asarray(ravel_pytree(potential)[0])


def markdown(result: dict[str, Any]) -> str:
    """Title and tables of a result of `measure`."""
    parts = ["# Derivatives of a training"]
    for model, (n_batch, n_frames) in SIZES.items():
        what = {
            "adam": f"Adam, {n_batch} frames", "jacobian": f"normal equations, {n_frames} frames"
        }  # fmt: skip
        rows = []
        for work, label in what.items():
            for engine, title in ENGINES.items():
                name = f"{engine}_{work}_{model}"
                if name in result["samples_ms"]:
                    ratio = _harness.number(result.get(f"native_over_{name}", 1.0))
                    spread = _harness.spread(result["samples_ms"][name])
                    rows.append([f"{label}: {title}", *spread, ratio])
        if rows:
            head = [TITLES[model], "ms", "middle half", "time over native"]
            parts.append(_harness.table(head, rows))
    return "\n\n".join(parts)


if __name__ == "__main__":
    main()
