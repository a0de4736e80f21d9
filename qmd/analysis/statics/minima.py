"""Minima of a model and of its reference; the latter is saved beside its trajectory."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from qmd.analysis.potential_of_run import RunPotential
from qmd.analysis.series import Series
from qmd.analysis.statics.minimum import Minimum, minimum
from qmd.errors import CorruptError, MismatchError
from qmd.io import files
from qmd.io.faults import first_fault
from qmd.typing import Array

FILE = "minimum.json"


def minimum_of(run: Series, source: RunPotential) -> Minimum:
    """Return the minimum that is reached from the frame with the lowest energy."""
    start = run.positions[int(run.potential.argmin())]
    return minimum(source.energy_and_forces, start, run.masses)


def reference_minimum(
    run: Series, source: RunPotential | None, on_progress: Callable[[str, int, int], None]
) -> Minimum:
    """Return the minimum of the reference; read it from `minimum.json` if the settings agree."""
    path, settings = run.folder / FILE, run.record["potential"]["sha256"]
    saved = _read(path, settings, run.n_atoms)
    if saved is not None:
        return saved
    if source is None:
        raise MismatchError(f"{run.folder} has no {FILE}, and its method is not used")
    counted = 0

    def method(positions: Array) -> tuple[float, Array]:
        nonlocal counted
        counted += 1
        on_progress("minimum of the reference", counted, max(counted, 12 * run.n_atoms))
        return source.energy_and_forces(positions)

    start = run.positions[int(run.potential.argmin())]
    found = minimum(method, start, run.masses)
    data: dict[str, Any] = {
        "potential": run.name,
        "settings_sha256": settings,
        "energy_eV": found.energy,
        "positions_A": found.positions.tolist(),
        "wavenumbers_per_cm": found.wavenumbers.tolist(),
    }
    files.write_text(path, json.dumps(data, indent=1) + "\n")
    return found


def _read(path: Path, settings: str, n_atoms: int) -> Minimum | None:
    try:
        data = files.read_json(path)
    except FileNotFoundError:
        return None
    except CorruptError as error:
        raise CorruptError(error.message, hint="delete it; it is computed again") from None
    if not isinstance(data, dict) or data.get("settings_sha256") != settings:
        return None
    try:
        saved = _Saved.model_validate(data)
        positions, wavenumbers = np.array(saved.positions_A), np.array(saved.wavenumbers_per_cm)
    except ValidationError as error:
        raise CorruptError(
            f"{path} is damaged: {first_fault(error)}.", hint="delete it; it is computed again"
        ) from None
    if positions.shape != (n_atoms, 3):
        raise MismatchError(f"{path} belongs to other atoms", hint="delete it")
    return Minimum(positions, saved.energy_eV, wavenumbers)


class _Saved(BaseModel):
    model_config = ConfigDict(strict=True, allow_inf_nan=False)
    positions_A: list[Annotated[list[float], Field(min_length=3, max_length=3)]]
    energy_eV: float
    wavenumbers_per_cm: list[float]
