"""Schema of the results of `qmd benchmark`, as they stand in `results.json`."""

from typing import Any, Literal

from qmd.config.base import Config

Number = float | int | str | None


class CellResults(Config):
    """One potential in one measure."""

    measure: str
    """Name of the measure."""
    kind: str
    """Kind of the measure: errors, path, nve, stability, symmetry, resources or speed."""
    potential: str
    """Label of the potential."""
    variation: dict[str, float | int]
    """Time step (fs), temperature (K) and seed, if the measure has several."""
    folder: str
    """Folder, relative to that of the results; it contains the input and outputs of a run."""
    result: dict[str, Number]
    """Measured values, with their units in the keys; `failed` says how a run ended early."""


class BenchmarkResults(Config):
    """Content of `results.json`."""

    format: Literal["qmd-benchmark"]
    """Name of the format."""
    version: Literal[1]
    """Version of the format."""
    title: str
    """Heading."""
    text: str
    """Paragraph below the heading."""
    input: dict[str, Any]
    """Input with all defaults."""
    potentials: dict[str, dict[str, str]]
    """Name and SHA-256 of each measured potential, by label."""
    cells: list[CellResults]
    """Results, one entry per potential, measure and variation."""
    versions: dict[str, str]
    """Versions of qmd and of the packages that it depends on."""
    machine: dict[str, str]
    """Machine on which the results were collected and the speeds measured."""
