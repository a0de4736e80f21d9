"""Allegro, its read-outs and their twins: one training for each set of labels, variant and seed.

    python runs/train-allegro/study.py                      # all; goes on where it was stopped
    python runs/train-allegro/study.py benzene --seeds 1 --variants allegro qdi
    python runs/train-allegro/study.py benzene --seconds 60 # so much CPU time for each training
    python runs/train-allegro/study.py --steps 20           # a first look at all
    python runs/train-allegro/study.py --page               # the tables of docs/allegro.md alone

Each training is that of a file beside this one but for its read-out and its seed. With `--seconds`
the steps are counted from a short training of the same variant, in CPU time, so that all variants
have the same compute; otherwise all have the same steps. Sets whose labels are not there are left
out. Packages, logs and reports lie in `study`, errors in `results.json`, and the tables go to the
page between its markers: means over seeds, with their standard errors.
"""

import argparse
import gzip
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault(
    "XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
)

import numpy as np
import yaml  # type: ignore[import-untyped]

import qmd
from qmd.commands.training import plan_training
from qmd.forces.catalogue import load_package
from qmd.io import files
from qmd.potentials import compiled, compiled_in_cell
from qmd.train import session

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "docs" / "allegro.md"
RESULTS = HERE / "results.json"
METALS = HERE.parents[2] / "shared" / "data" / "metals"
SETS = "benzene", "aspirin", "alloys", "molecules"
QDI: dict[str, Any] = {"kind": "qdi", "features": 4, "qubits": 4, "depth": 1, "hidden": [8]}
VARIANTS: dict[str, dict[str, Any] | None] = {
    "allegro": None,
    "mlp": {"kind": "perceptron", "features": 4, "hidden": [8, 8]},
    "qdi": QDI,
    "mlp-matched": {"kind": "perceptron", "features": 4, "hidden": [7, 4]},
    "qdi-frozen": QDI | {"frozen": True},
    "qdi-uncoupled": QDI | {"entangled": False},
}
"""Read-outs: 73 numbers of the circuit and what follows it, 72 of its classical twin."""
NAMES = {
    "allegro": "Allegro", "mlp": "+MLP", "qdi": "+QDI", "mlp-matched": "+MLP, as many numbers as "
    "+QDI", "qdi-frozen": "+QDI, random circuit", "qdi-uncoupled": "+QDI without CNOTs",
}  # fmt: skip
BEGIN, END = "<!-- tables of study.py -->", "<!-- end of the tables -->"
MEASURED = 2
"""Reports of a short training whose CPU time is measured, after one that compiles."""
TIMED_FORCES = 30


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sets", nargs="*", choices=(*SETS, []), default=[], metavar="SET")
    parser.add_argument("--variants", nargs="*", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--seeds", type=int, default=3)
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--steps", type=int, help="of each training; default: those of its file")
    budget.add_argument("--seconds", type=float, help="of CPU time, instead of a number of steps")
    parser.add_argument("--output", type=Path, default=HERE / "study")
    parser.add_argument("--page", action="store_true", help="train nothing, write the tables")
    arguments = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if not arguments.page:
        arguments.output.mkdir(exist_ok=True)
        unpack(METALS)
    for seed in range(0 if arguments.page else arguments.seeds):
        for name in arguments.sets or SETS:
            for variant in arguments.variants:
                one_training(name, variant, seed, arguments, results)
    write_page(PAGE, results)


def unpack(folder):
    """Unpack the labels of the alloys to where their input names them, if they are there."""
    for packed in sorted(folder.glob("lial_*.extxyz.gz")):
        target = HERE / "study" / packed.stem
        if not target.exists():
            target.parent.mkdir(exist_ok=True)
            files.write_text(target, gzip.decompress(packed.read_bytes()).decode())


def one_training(name, variant, seed, arguments, results):
    """Train one variant if there is no result yet, and add its result."""
    key = f"{name}/{variant}/{seed}"
    written = yaml.safe_load((HERE / f"{name}.yaml").read_text())
    if key in results or not (HERE / written["dataset"]).exists():
        return
    steps = arguments.steps
    if arguments.seconds:
        steps = counted_steps(name, written, variant, arguments)
    begin = time.process_time()
    made = qmd.train(
        changed(written, variant, seed, steps),
        output=arguments.output / f"{name}-{variant}-{seed}.qmdp",
        progress=False,
    )
    errors = made.errors["test"]["all"]
    results[key] = {
        "energy_mae_meV": errors["energy_mae_meV"],
        "forces_mae_meV_per_A": errors["forces_mae_meV_per_A"],
        "parameters": made.card["parameters"],
        "steps": made.card["stages"][0]["steps"],
        "train_frames": made.card["split"]["train"],
        "cpu_seconds": round(time.process_time() - begin, 1),
        "energy_and_forces_ms": milliseconds(made.package),
    }
    files.write_text(RESULTS, json.dumps(results, indent=1, sort_keys=True) + "\n")
    print(key, json.dumps(results[key]), flush=True)


def changed(written, variant, seed, steps=None):
    """Return the input of a training, with paths that do not depend on the folder."""
    paths = {key: str(HERE / written[key]) for key in ("dataset", "test_dataset") if key in written}
    head = VARIANTS[variant]
    model = written["model"] | ({} if head is None else {"head": head})
    stages = [stage | ({"steps": steps} if steps else {}) for stage in written["stages"]]
    return written | paths | {"model": model, "stages": stages, "starts": {"seed": seed}}


class Measured(Exception):
    """A short training that has been measured."""


def counted_steps(name, written, variant, arguments):
    """Return the number of steps that take the CPU time, counted once for each variant."""
    path = arguments.output / "steps.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    key = f"{name}/{variant}/{arguments.seconds:g}"
    if key not in known:
        known[key] = max(1, round(arguments.seconds / seconds_of_step(written, variant, arguments)))
        files.write_text(path, json.dumps(known, indent=1, sort_keys=True) + "\n")
    return known[key]


def seconds_of_step(written, variant, arguments):
    """Return the CPU time of a step, validations included."""
    every = written["stages"][0]["report_every"]
    job = plan_training(changed(written, variant, 0, every * (MEASURED + 1)))
    folder, times = arguments.output / "measured", []
    folder.mkdir(exist_ok=True)

    def on_progress(update):
        times.append(time.process_time())

    session.run(job, folder / "measured.qmdp", overwrite=True, on_progress=on_progress)
    shutil.rmtree(folder)
    return (times[MEASURED] - times[0]) / (MEASURED * every)


def milliseconds(path):
    """Return the least CPU time of energy and forces of one frame, behind the first call."""
    package = load_package(str(path), Path())
    run: Any = compiled(package.potential())
    geometry = [package.test_positions[0]]
    if package.test_cells is not None:
        run, geometry = compiled_in_cell(package.model), [*geometry, package.test_cells[0]]
    times = []
    for _ in range(TIMED_FORCES):
        begin = time.process_time()
        np.asarray(run(*geometry)[1])
        times.append(time.process_time() - begin)
    return round(1000 * min(times), 3)


def write_page(path, results):
    """Replace the tables of the page."""
    text = path.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    lines = [line for name in SETS for line in table(name, results)]
    middle = "\n".join(lines or ["", "No training of the study has finished yet."])
    files.write_text(path, f"{before}{BEGIN}\n{middle}\n{END}{after}")


def table(name, results):
    """Return the lines of the table of a set of labels; none without results."""
    rows = {
        variant: [results[key] for key in sorted(results) if key.startswith(f"{name}/{variant}/")]
        for variant in VARIANTS
    }
    if not any(rows.values()):
        return []
    lines = [
        "", f"### {name.capitalize()}", "",
        "| read-out | numbers | seeds | steps | CPU, s | energies, meV | forces, meV/A | "
        "energy and forces, ms |",
        "| --- | --: | --: | --: | --: | --: | --: | --: |",
    ]  # fmt: skip
    lines += [row(NAMES[variant], found) for variant, found in rows.items() if found]
    return lines + ratio(rows)


def row(name, found):
    """Return a row of the table: means and standard errors over seeds."""

    def several(key, form):
        values = sorted({format(each[key], form) for each in found}, key=float)
        return values[0] if len(values) == 1 else f"{values[0]} to {values[-1]}"

    cells = (
        name, several("parameters", "d"), str(len(found)), several("steps", "d"),
        f"{np.mean([each['cpu_seconds'] for each in found]):.0f}",
        with_error([each["energy_mae_meV"] for each in found]),
        with_error([each["forces_mae_meV_per_A"] for each in found]),
        f"{min(each['energy_and_forces_ms'] for each in found):.2f}",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def with_error(values):
    """Return the mean and its standard error; the mean alone of a single value."""
    if None in values:
        return "-"
    mean = float(np.mean(values))
    if len(values) < 2:
        return f"{mean:.3g}"
    return f"{mean:.3g} +- {np.std(values, ddof=1) / np.sqrt(len(values)):.1g}"


def ratio(rows):
    """Return a sentence about the circuit over its twin: the ratio of errors of equal seeds."""
    quantum, twin = rows["qdi"], rows["mlp-matched"]
    if not quantum or len(quantum) != len(twin):
        return []
    kind = "forces_mae_meV_per_A"
    if None in (quantum[0][kind], twin[0][kind]):
        kind = "energy_mae_meV"
    values = [a[kind] / b[kind] for a, b in zip(quantum, twin, strict=True)]
    what = "energies" if kind == "energy_mae_meV" else "forces"
    return ["", f"Errors of {what}, +QDI over +MLP of as many numbers: {with_error(values)}."]


if __name__ == "__main__":
    main()
