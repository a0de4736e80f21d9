"""Report of `qmd train`."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from qmd.report.page import Figure, Page, Section, Table
from qmd.report.viewer import viewer
from qmd.train import frame_errors

HEAD = "frames", "energies", "number", "energy, RMSE (meV)", "forces, RMSE (meV/A)"


def page(
    name: str, species: tuple[str, ...], card: Mapping[str, Any], curve: bytes, parity: bytes,
    test: np.ndarray,
) -> Page:  # fmt: skip
    """Return the report: errors, learning curve, predictions and labels, and test geometries.

    Parameters
    ----------
    card : mapping
        Training card of the package.
    curve, parity : PNG files
    test : (n_frames, n_atoms, 3)
        Test geometries, angstrom.
    """
    rows = tuple(
        (part, group, str(e["frames"]), f"{e['energy_rmse_meV']:.3g}", _forces(e))
        for part, groups in card["errors"].items()
        for group, e in groups.items()
    )
    level = card.get("level_of_theory") or "unnamed labels"
    lead = f"{' '.join(species)}, trained on {level}."
    shown = viewer(species, test, np.arange(len(test)) * 1e-3)
    sections = (
        Section("Errors", "", Table(HEAD, rows)),
        *_by_frame(card),
        Section(
            "Learning curve",
            figures=(Figure(curve, "All starts, with those of the package in colour."),),
        ),
        Section(
            "Test frames",
            figures=(Figure(parity, "Predicted against labelled, and residuals by energy."),),
        ),
        *([Section("Test geometries", viewer=shown)] if shown else []),
    )
    return Page(f"Training of {name}", lead, sections=sections)


def _by_frame(card: Mapping[str, Any]) -> list[Section]:
    if (by_frame := card.get("errors_by_test_frame")) is None:  # of an earlier version
        return []
    spread = Table(("absolute error", *frame_errors.HEAD), tuple(frame_errors.rows(by_frame)))
    text = ". ".join(frame_errors.sentences(by_frame)) + "."
    return [Section("Errors of single test frames", text[0].upper() + text[1:], spread)]


def _forces(errors: Mapping[str, Any]) -> str:
    value = errors["forces_rmse_meV_per_A"]
    return "" if value is None else f"{value:.3g}"
