"""The results of `qmd benchmark`, as `results.json` holds them; a schema for whoever reads it."""

from typing import Any, Literal

from qmd.config.base import Config

Number = float | int | str | None


class CellResults(Config):
    """One potential in one measure."""

    measure: str
    """Name of the measure."""
    kind: str
    """Its kind: errors, path, nve, stability, symmetry, resources or speed."""
    potential: str
    """Label of the potential."""
    variation: dict[str, float | int]
    """Time step (fs), temperature (K) and seed, where the measure has several."""
    folder: str
    """Relative to that of the results; a run has its input and its outputs there."""
    result: dict[str, Number]
    """Numbers with their units in the keys; `failed` says how a run ended before its time."""


class BenchmarkResults(Config):
    """What `results.json` holds."""

    format: Literal["qmd-benchmark"]
    """What this is."""
    version: Literal[1]
    """Of this format."""
    title: str
    """Heading."""
    text: str
    """The paragraph below it."""
    input: dict[str, Any]
    """The input with all defaults."""
    potentials: dict[str, dict[str, str]]
    """Label -> name and SHA-256 of what was measured."""
    cells: list[CellResults]
    """All results."""
    versions: dict[str, str]
    """Of qmd and of what it stands on."""
    machine: dict[str, str]
    """On which the table was made, and the speeds measured."""
