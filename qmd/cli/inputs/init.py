"""Commands `qmd schema` and `qmd init`: the keys of an input, and a template."""

from typing import Annotated

import typer

from qmd.cli.common import errors_in_one_line
from qmd.cli.inputs.kinds import INPUTS, SCHEMAS, schema_class, template

SCHEMA_EXAMPLES = (
    "Examples: `qmd schema > qmd.schema.json`, which `qmd init` inputs refer to; "
    "`qmd schema train`."
)
INIT_EXAMPLES = "Examples: `qmd init > input.yaml`; `qmd init train > train.yaml`."


def schema(
    of: Annotated[str, typer.Argument(help=f"One of {', '.join(SCHEMAS)}.")] = "run",
) -> None:
    """Print the JSON Schema of an input, or of results, for editors and checkers."""
    with errors_in_one_line():
        import json

        from qmd.config.schema import json_schema
        from qmd.errors import InputError

        if of not in SCHEMAS:
            raise InputError(f"there is no schema {of}; expected one of {', '.join(SCHEMAS)}")
        print(json.dumps(json_schema(schema_class(of)), indent=2))


def init(
    kind: Annotated[str, typer.Argument(help=f"One of {', '.join(INPUTS)}.")] = "run",
) -> None:
    """Print a commented template of an input, with every key."""
    with errors_in_one_line():
        from qmd.errors import InputError

        if kind not in INPUTS:
            raise InputError(
                f"there is no kind of input {kind}; expected one of {', '.join(INPUTS)}"
            )
        print(template(kind), end="")
