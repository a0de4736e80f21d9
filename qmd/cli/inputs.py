"""`qmd schema` and `qmd init`: what an input may hold, and a first one."""

from typing import Annotated

import typer

from qmd.cli.common import errors_in_one_line

SCHEMAS = {
    "run": "qmd.run.config.RunConfig",
    "train": "qmd.train.config.TrainConfig",
    "label": "qmd.label.config.LabelConfig",
    "ensemble": "qmd.ensemble.config.EnsembleConfig",
    "benchmark": "qmd.benchmark.config.BenchmarkConfig",
    "benchmark-results": "qmd.benchmark.results.BenchmarkResults",
}

SCHEMA_EXAMPLES = (
    "Examples: `qmd schema > qmd.schema.json`, which `qmd init` inputs refer to; "
    "`qmd schema train`."
)
INIT_EXAMPLES = "Example: `qmd init > input.yaml`."


def schema(
    of: Annotated[str, typer.Argument(help=f"One of {', '.join(SCHEMAS)}.")] = "run",
) -> None:
    """Print the JSON Schema of an input, or of results, for editors and checkers."""
    with errors_in_one_line():
        import json
        from importlib import import_module

        from qmd.config.schema import json_schema
        from qmd.errors import InputError

        if of not in SCHEMAS:
            raise InputError(f"there is no schema {of}; expected one of {', '.join(SCHEMAS)}")
        module, _, name = SCHEMAS[of].rpartition(".")
        print(json.dumps(json_schema(getattr(import_module(module), name)), indent=2))


def init() -> None:
    """Print a commented input for water."""
    with errors_in_one_line():
        from qmd.cli.template import TEMPLATE

        print(TEMPLATE, end="")
