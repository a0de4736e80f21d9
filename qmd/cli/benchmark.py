"""Command `qmd benchmark`."""

from pathlib import Path
from typing import Annotated

import typer

from qmd.cli.common import Debug, Trust, errors_in_one_line

EXAMPLES = (
    "Examples: `qmd init benchmark > bench.yaml` and `qmd benchmark bench.yaml`, which takes two "
    "minutes and writes bench/output/report.html; `qmd benchmark bench.yaml --markdown table.md "
    "--set executor.kind=processes`. Run the same command again to resume, or after a change of "
    "the input: only new tasks are measured."
)


def benchmark(
    input_file: Annotated[
        Path, typer.Argument(metavar="BENCH", help="Input, YAML.", show_default=False)
    ],
    output: Annotated[
        Path | None,
        typer.Option(help="Folder of the results; default: output in a folder beside the input.",
                     show_default=False),
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="Further file for the tables.", show_default=False)
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the input.",
                     show_default=False),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress, no tables.")] = False,
    trust: Trust = False,
    debug: Debug = False,
) -> None:  # fmt: skip
    """Compare potentials under the same conditions: errors, drift, stability, symmetry, speed."""
    with errors_in_one_line(debug, trust):
        from qmd.commands import benchmarks

        finished = benchmarks.benchmark(
            input_file, set=overrides or (), output=output, markdown=markdown, progress=not quiet
        )
        if not quiet:
            print(finished.summary())
