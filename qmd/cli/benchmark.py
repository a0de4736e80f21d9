"""Command `qmd benchmark`."""

from pathlib import Path
from typing import Annotated

import typer

from qmd.cli.common import Debug, errors_in_one_line

EXAMPLES = (
    "Examples: `qmd benchmark benchmarks/water.yaml` writes benchmarks/water/output/report.html; "
    "`qmd benchmark bench.yaml --markdown table.md --set executor.kind=processes`. Run the same "
    "command again to resume, or after a change of the input: only new tasks are measured."
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
    debug: Debug = False,
) -> None:  # fmt: skip
    """Compare potentials under the same conditions: errors, drift, stability, symmetry, speed."""
    with errors_in_one_line(debug):
        from qmd.benchmark import report as benchmark_report
        from qmd.benchmark import session as benchmark_session
        from qmd.benchmark import tables
        from qmd.benchmark.config import BenchmarkConfig
        from qmd.cli import console
        from qmd.config import load as inputs
        from qmd.io import files
        from qmd.report import page

        loaded = inputs.load(input_file, BenchmarkConfig, overrides or [])
        prepared = benchmark_session.prepare(loaded)
        with console.bars(quiet=quiet) as on_progress:
            finished = benchmark_session.run(
                prepared, output, log=console.note, on_progress=on_progress
            )
        text = tables.markdown(finished.results)
        report = finished.directory / "report.html"
        page.write(report, benchmark_report.page(finished.results))
        files.write_text(finished.directory / "results.md", text)
        if markdown is not None:
            files.write_text(markdown, text)
        if not quiet:
            print(text)
            print(f"report: {report}")
