"""Errors of single test frames: percentiles, frames outside the domain, the worst ones by name."""

import numpy as np
import pytest

from qmd.potentials import Domain
from qmd.train import frame_errors
from qmd.train.frame_errors import errors_by_frame
from qmd.train.problem import Frames


def two_atoms(lengths: np.ndarray, forces: bool = True) -> Frames:
    positions = np.zeros((len(lengths), 2, 3))
    positions[:, 1, 0] = lengths
    return Frames(positions, np.zeros(len(lengths)), np.zeros_like(positions) if forces else None)


DOMAIN = Domain(np.array([[0, 1]]), np.array([[1.0, 2.0]]), np.array([[0.9, 2.1]]))


def test_the_spread_is_that_of_the_errors_and_the_worst_come_first() -> None:
    frames = two_atoms(np.linspace(1, 2.05, 101))
    energies = 1e-3 * np.arange(-50, 51)  # eV: absolute values 50, 49, ..., 0, ..., 50 meV
    forces = np.zeros_like(frames.positions)
    forces[7, 1] = 0.0, 0.36, 0.48  # 0.6 long; the root mean square of 6 components is 0.6/sqrt(6)
    places = np.arange(101) + 1000
    card = errors_by_frame((energies, forces), frames, places, DOMAIN)
    # 101 values: percentile p is the one of rank p, in the sorted list 0, 1, 1, 2, 2, ..., 50, 50.
    expected = {"median": 25, "percentile_90": 45, "percentile_99": 50, "largest": 50}
    assert card["energy_abs_error_meV"] == pytest.approx(expected)
    assert card["forces_abs_error_meV_per_A"]["median"] == 0
    assert card["forces_abs_error_meV_per_A"]["largest"] == pytest.approx(600)
    assert card["outside_domain"] == int((frames.positions[:, 1, 0] > 2).sum()) == 5
    worst = card["worst_frames"][0]
    assert worst["frame"] == 1007 and worst["energy_error_meV"] == pytest.approx(-43)
    assert worst["forces_rmse_meV_per_A"] == pytest.approx(600 / np.sqrt(6), rel=1e-3)  # 4 digits
    where, named = frame_errors.sentences(card)
    assert where.startswith("5 of 101 test frames lie outside")
    assert "1007 (energy -43 meV, forces 245 meV/A)" in named


def test_without_forces_the_energies_tell_the_worst() -> None:
    frames = two_atoms(np.array([1.5, 1.5, 3.0]), forces=False)
    card = errors_by_frame((np.array([0.001, -0.002, 0.003]), None), frames, None, DOMAIN)
    assert [frame["frame"] for frame in card["worst_frames"]] == [2, 1, 0]
    assert [frame["outside_domain"] for frame in card["worst_frames"]] == [True, False, False]
    assert [name for name, *_ in frame_errors.rows(card)] == ["energy (meV)"]
    assert "2 (energy +3 meV, outside)" in frame_errors.sentences(card)[1]
