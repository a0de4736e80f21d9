"""Errors on the test frames one by one: root mean squares hide both the usual and the worst."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from qmd.data.domains import outside
from qmd.potentials import Domain
from qmd.train.problem import Frames
from qmd.typing import Array

PERCENTILES = 50, 90, 99
HEAD = "median", "90 %", "99 %", "largest"
"""Heads of the columns of `rows`, behind the first one."""
N_WORST, N_NAMED = 5, 3
"""Numbers of the worst frames on the card, and in a sentence."""


def errors_by_frame(
    predicted: Sequence[Array], frames: Frames, places: Array | None, domain: Domain
) -> dict[str, Any]:
    """Return the spread of the absolute errors, and the worst frames.

    Parameters
    ----------
    predicted : (n_frames,), (n_frames, n_atoms, 3)
        Energies (eV) and forces (eV/angstrom).
    frames : Frames
        With the labels.
    places : (n_frames,), optional
        Index of each frame in its file, from 0; default: as they come.
    domain : Domain
        Ranges of the training frames.
    """
    energies = 1000 * (predicted[0] - frames.energies)
    stray = outside(domain, frames.positions)
    card: dict[str, Any] = {
        "frames": len(energies),
        "outside_domain": int(stray.sum()) if len(domain.pairs) else None,
        "energy_abs_error_meV": _spread(energies),
        "forces_abs_error_meV_per_A": None,
    }
    each = np.abs(energies)
    if frames.forces is not None:
        wrong = 1000 * (predicted[1] - frames.forces)
        card["forces_abs_error_meV_per_A"] = _spread(np.linalg.norm(wrong, axis=2)[frames.present])
        each = np.sqrt((wrong**2).sum(axis=(1, 2)) / (3 * frames.n_atoms))
    worst = np.argsort(-each, kind="stable")[:N_WORST]
    card["worst_by"] = "energy" if frames.forces is None else "forces, root mean square"
    card["worst_frames"] = [
        {
            "frame": int(row if places is None else places[row]),
            "energy_error_meV": _rounded(energies[row]),
            "forces_rmse_meV_per_A": None if frames.forces is None else _rounded(each[row]),
            "outside_domain": bool(stray[row]),
        }
        for row in worst
    ]
    return card


def _spread(errors: Array) -> dict[str, float]:
    """Return percentiles of the absolute values, over frames or over atoms of all frames."""
    sizes = np.abs(errors).ravel()
    found = np.percentile(sizes, PERCENTILES)
    named = dict(zip(("median", "percentile_90", "percentile_99"), found, strict=True))
    return {name: _rounded(value) for name, value in (named | {"largest": sizes.max()}).items()}


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def rows(card: dict[str, Any]) -> list[tuple[str, ...]]:
    """Return the spread as rows of a table: what, then median, percentiles and largest."""
    kinds = {
        "energy (meV)": card["energy_abs_error_meV"],
        "force on an atom (meV/A)": card["forces_abs_error_meV_per_A"],
    }
    return [
        (name, *(f"{value:.3g}" for value in spread.values()))
        for name, spread in kinds.items()
        if spread is not None
    ]


def sentences(card: dict[str, Any]) -> list[str]:
    """Return what the table leaves out: frames outside the domain, and the worst ones by name.

    A potential of elements has no distances of pairs of atoms, and nothing is said of them.
    """
    n, strays = card["frames"], card["outside_domain"]
    where = f"{strays} of {n} test frames lie outside the distances of the training frames"
    known = [] if strays is None else [where]
    worst = "; ".join(map(_named, card["worst_frames"][:N_NAMED]))
    return [*known, f"worst test frames, counted from 0: {worst}"]


def _named(frame: dict[str, Any]) -> str:
    parts = [f"energy {frame['energy_error_meV']:+.3g} meV"]
    if frame["forces_rmse_meV_per_A"] is not None:
        parts.append(f"forces {frame['forces_rmse_meV_per_A']:.3g} meV/A")
    if frame["outside_domain"]:
        parts.append("outside")
    return f"{frame['frame']} ({', '.join(parts)})"
