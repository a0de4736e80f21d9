"""Kinds of input files: their schemas, their templates, and the recognition of a kind."""

from importlib import import_module
from pathlib import Path
from typing import Any

SCHEMAS = {
    "run": "qmd.run.config.RunConfig",
    "train": "qmd.train.config.TrainConfig",
    "tune": "qmd.tune.config.TuneConfig",
    "label": "qmd.label.config.LabelConfig",
    "ensemble": "qmd.ensemble.config.EnsembleConfig",
    "benchmark": "qmd.benchmark.config.BenchmarkConfig",
    "benchmark-results": "qmd.benchmark.results.BenchmarkResults",
}
INPUTS = "run", "reference", "train", "tune", "label", "ensemble", "benchmark"
"""Kinds of input; `reference` has the schema of `run`."""


def schema_class(kind: str) -> Any:
    """Return the class of a schema."""
    module, _, name = SCHEMAS["run" if kind == "reference" else kind].rpartition(".")
    return getattr(import_module(module), name)


def template(kind: str) -> str:
    """Return the commented input that `qmd init` prints."""
    return Path(__file__).with_name("templates").joinpath(f"{kind}.yaml").read_text("utf-8")


def kind_of(path: Path) -> str:
    """Return the kind of an input: the one whose schema has most of its keys.

    Raises
    ------
    InputError
        If the file cannot be read, or has no keys of any kind.
    """
    from qmd.config.load import read_document
    from qmd.errors import InputError

    data = read_document(path).data
    shared = {
        kind: len(data.keys() & schema_class(kind).model_fields.keys())
        for kind in INPUTS
        if kind in SCHEMAS
    }
    kind, *others = sorted(shared, key=lambda kind: -shared[kind])
    if shared[kind] == shared[others[0]]:
        raise InputError(
            f"{path}: the kind of input cannot be recognised from its keys",
            hint=f"name it with --kind: {', '.join(INPUTS)}",
        )
    if kind == "run" and _is_reference(data.get("potential")):
        return "reference"
    return kind


def _is_reference(potential: object) -> bool:
    return isinstance(potential, dict) and potential.get("kind") in ("dft", "fci", "ase")
