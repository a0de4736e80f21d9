"""Hypervolume of the searches of `qmd tune` after 40 evaluations for each coordinate.

Three problems with two objectives and constraints, several seeds each: SAMO-COBRA, and NSGA-II and
TPE of optuna. NSGA-II has the population that serves it best of those in `POPULATIONS`, by the
median, so that it is not held back by the default, which is larger than half of the budget.

With `--folder` every run is saved there as it goes, and the same command resumes.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import _harness

PER_COORDINATE = 40
SEEDS = 10
POPULATIONS = 10, 20, 50
METHODS = ("samo_cobra", *(f"nsga2_{n}" for n in POPULATIONS), "tpe")
SAVE_EVERY = 10
"""Number of evaluations between two saves of a run."""


def main() -> None:
    from _problems import PROBLEMS

    parser = argparse.ArgumentParser(
        description="Hypervolume of the searches of `qmd tune` on BNH, SRN and OSY.",
        epilog="Example: python benchmarks/tune.py --folder runs-of-tune --json tune.json",
    )
    parser.add_argument("--problems", nargs="+", choices=PROBLEMS, default=list(PROBLEMS))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--seeds", type=_harness.at_least(1), default=SEEDS)
    parser.add_argument(
        "--evaluations", type=_harness.at_least(1), default=PER_COORDINATE, metavar="N",
        help="evaluations for each coordinate (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--folder", type=Path, help="save all runs there, and resume them")
    parser.add_argument("--quick", action="store_true", help="few evaluations: a test")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table there")
    options = parser.parse_args()
    _harness.one_thread()
    with tempfile.TemporaryDirectory() as folder:
        options.folder = options.folder or Path(folder)
        options.folder.mkdir(parents=True, exist_ok=True)
        result = measure(options)
    text = markdown(result)
    print(text)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if options.markdown:
        options.markdown.write_text(text + "\n", encoding="utf-8")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run all searches, and return their hypervolumes."""
    from _problems import PROBLEMS

    found: dict[str, dict[str, list[float]]] = {}
    evaluations = {}
    for name in options.problems:
        per_coordinate = 5 if options.quick else options.evaluations
        evaluations[name] = per_coordinate * len(PROBLEMS[name].bounds)
        found[name] = {
            method: [
                run(name, method, seed, evaluations[name], options.folder)
                for seed in range(options.seeds)
            ]
            for method in options.methods
        }
    medians = {
        name: {method: statistics.median(values) for method, values in methods.items()}
        for name, methods in found.items()
    }
    return {
        "benchmark": "tune",
        "evaluations": evaluations,
        "seeds": options.seeds,
        "reference": {name: PROBLEMS[name].reference for name in options.problems},
        "hypervolume": found,
        "median": medians,
        **_harness.environment(["scipy", "optuna"]),
    }


def run(name: str, method: str, seed: int, budget: int, folder: Path) -> float:
    """Return the hypervolume of a run; what `folder` has of it already is not evaluated again."""
    from _problems import PROBLEMS

    from qmd.io import files
    from qmd.search.hypervolume import hypervolume
    from qmd.search.search import front_of, objectives_of

    problem, path = PROBLEMS[name], folder / f"{name}-{method}-{seed}.json"
    saved = json.loads(path.read_text()) if path.exists() else []
    points = []
    for n, point in enumerate(evaluations(name, method, seed, saved), 1):
        points.append(point)
        if n > len(saved) and (n % SAVE_EVERY == 0 or n == budget):
            files.write_text(path, json.dumps([known.values for known in points]))
            print(f"{name}, {method}, seed {seed}: {n} of {budget}", file=sys.stderr, flush=True)
        if n == budget:
            break
    front = objectives_of(points, front_of(points)).reshape(-1, 2)
    return hypervolume(front, problem.reference)


def evaluations(name: str, method: str, seed: int, saved: list[Any]) -> Iterator[Any]:
    """Yield the points of a search, the saved ones first."""
    from _problems import PROBLEMS

    from qmd.search.search import Evaluated

    problem = PROBLEMS[name]
    search = make(name, method, seed)
    first, n = len(problem.bounds) + 1 if method == "samo_cobra" else 1, 0
    while True:
        count = first if n == 0 else 1
        known = [Evaluated(tuple(v), *problem.function(v)) for v in saved[n : n + count]]
        if len(known) == count:
            search.replay(known)
        else:
            known = [Evaluated(values, *problem.function(values)) for values in search.ask(count)]
            search.tell(known)
        n += count
        yield from known


def make(name: str, method: str, seed: int) -> Any:
    """Return a search by its name."""
    from _problems import PROBLEMS

    from qmd.search.samo_cobra import SamoCobra
    from qmd.search.samplers import OptunaSearch
    from qmd.search.space import Real, Space

    problem = PROBLEMS[name]
    space = Space(tuple(Real(low, high) for low, high in problem.bounds))
    if method == "samo_cobra":
        return SamoCobra(space, 2, problem.n_constraints, seed, reference=problem.reference)
    if method == "tpe":
        return OptunaSearch(space, 2, seed, sampler="tpe")
    return OptunaSearch(space, 2, seed, sampler="nsga2", population=int(method.split("_")[1]))


def markdown(result: dict[str, Any]) -> str:
    """Title, table and notes of a result of `measure`."""
    rows = []
    for name, methods in result["hypervolume"].items():
        for method, values in methods.items():
            low, high = min(values), max(values)
            rows.append([f"{name}, {method}", f"{result['median'][name][method]:,.1f}",
                         f"{low:,.1f} to {high:,.1f}"])  # fmt: skip
    head = ["problem, method", "median", "range"]
    evaluated = ", ".join(f"{name} {n}" for name, n in result["evaluations"].items())
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    return "\n\n".join([
        "# Hypervolume of the searches of `qmd tune`",
        _harness.table(head, rows),
        f"{result['seeds']} seeds. Evaluations: {evaluated}. More is better. The number behind "
        f"nsga2 is its population. {versions}.",
    ])  # fmt: skip


if __name__ == "__main__":
    main()
