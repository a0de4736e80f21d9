"""Merged analysis of an ensemble: means over its members, with standard errors.

Members that differ in nothing but `seed` and `replica` are independent samples of the same
quantity. Their mean has the standard error ``s / sqrt(n)``, with the standard deviation s of the n
members; no correlation time enters. Members with other settings are in other groups.
"""

import csv
import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from qmd.analysis.analyze import Analysis, analyze
from qmd.config.load import leaves
from qmd.errors import CorruptError, InputError, QmdError
from qmd.io.universe import find
from qmd.typing import Array

SAMPLES = ("seed",), ("replica",)
"""Keys of an input that make another sample, not another system."""
UNIMPORTANT = "output", "guards", "threads", "wall_time_h"
"""Sections of an input that do not change what a member is a sample of."""


@dataclass(frozen=True, eq=False)
class Member:
    """An analysed member."""

    name: str
    """Its folder, relative to that of the ensemble."""
    analysis: Analysis
    quantities: "dict[str, Quantity]"


class Quantity(NamedTuple):
    """Number of one member."""

    value: float
    unit: str
    predicted: float | None = None
    """Expectation of theory, if there is one."""


class Merged(NamedTuple):
    """Number of a group of members."""

    mean: float
    error: float | None
    """Standard error of the mean; None for one member."""
    std: float | None
    """Standard deviation over the members; None for one member."""
    members: int
    unit: str
    predicted: float | None = None


@dataclass(frozen=True, eq=False)
class Group:
    """Members with the same settings."""

    settings: dict[str, Any]
    """Settings that other groups have differently, by dotted key."""
    members: tuple[Member, ...]
    merged: dict[str, Merged]
    """Means, by the name of the quantity."""
    spectrum: tuple[Array, Array] | None
    """Wavenumbers (1/cm) and mean density of states; None if the members do not share a grid."""

    @property
    def name(self) -> str:
        """The settings on one line; empty if there is one group only."""
        return ", ".join(f"{key} {json.dumps(value)}" for key, value in self.settings.items())


@dataclass(frozen=True, eq=False)
class EnsembleAnalysis:
    """Results of the analysis of an ensemble."""

    folder: Path
    groups: tuple[Group, ...]
    skipped: tuple[tuple[str, str], ...]
    """Folders that could not be analysed, each with the reason."""

    @property
    def members(self) -> tuple[Member, ...]:
        """All analysed members."""
        return tuple(member for group in self.groups for member in group.members)


def member_folders(folder: Path) -> list[str] | None:
    """Return the folders of the members of an ensemble; None if `folder` is none.

    An ensemble is a folder with the `runs.csv` that `qmd ensemble` writes, or one that has the
    folders of several runs in it.

    Raises
    ------
    CorruptError
        If there is a `runs.csv` that cannot be read.
    """
    table = folder / "runs.csv"
    if os.path.isfile(table):
        try:
            with table.open(newline="") as file:
                return [row["folder"] for row in csv.DictReader(file)]
        except (OSError, ValueError, KeyError) as error:
            raise CorruptError(f"{table} cannot be read: {type(error).__name__}: {error}") from None
    if not os.path.isdir(folder) or _is_run(folder):
        return None
    found = sorted(path.name for path in folder.iterdir() if path.is_dir() and _is_run(path))
    return found if len(found) > 1 else None


def _is_run(folder: Path) -> bool:
    try:
        find(folder)
    except InputError:
        return False
    return True


def analyze_ensemble(
    folder: Path,
    names: Sequence[str],
    on_progress: Callable[[str, int, int], None] = lambda what, done, of: None,
    *,
    verify: bool = False,
) -> EnsembleAnalysis:
    """Analyse the members of an ensemble, and merge them.

    Parameters
    ----------
    folder : Path
    names : sequence of str
        Folders of the members, from `member_folders`.
    on_progress : callable
        Takes the activity, the number of members done, and their number.
    verify : bool
        First compare the outputs of each member with the digests in its last checkpoint.

    Raises
    ------
    InputError
        If no member can be analysed; otherwise those that cannot are listed in the result.
    """
    members, skipped = [], []
    for n, name in enumerate(names, start=1):
        try:
            found = analyze(folder / name, timestep=False, verify=verify)
            members.append(Member(name, found, quantities(found)))
        except QmdError as error:
            skipped.append((name, error.message))
        on_progress("members", n, len(names))
    if not members:
        why = f": {skipped[0][1]}" if skipped else ""
        raise InputError(f"{folder} has no member that can be analysed{why}")
    return EnsembleAnalysis(folder, tuple(_groups(members)), tuple(skipped))


def quantities(found: Analysis) -> dict[str, Quantity]:
    """Return the numbers of a member that can be averaged."""
    heat, energy = found.temperature, found.conservation
    numbers = {"temperature": Quantity(heat.mean, "K", heat.predicted)}
    if energy is not None:
        numbers["drift"] = Quantity(energy.drift_meV_per_atom_ps, "meV/atom/ps")
        numbers["drift per degree of freedom"] = Quantity(energy.drift_kT_per_ns_dof, "kT/ns/dof")
        numbers["fluctuation"] = Quantity(energy.fluctuation_meV_per_atom, "meV/atom")
    for c in found.coordinates:
        numbers[c.name] = Quantity(float(c.values.mean()), c.unit)
        numbers[f"std of {c.name}"] = Quantity(float(c.values.std()), c.unit)
    if found.hydrogen_bonds:
        numbers["hydrogen bonds"] = Quantity(found.hydrogen_bonds.mean, "per frame")
        numbers["frames with a bond"] = Quantity(100 * found.hydrogen_bonds.share_bonded, "%")
    if found.diffusion:
        d = found.diffusion
        numbers["diffusion"] = Quantity(d.coefficient, "A^2/ps", d.einstein)
    for b in found.bulk:
        numbers[b.name] = Quantity(b.mean.value, b.unit)
    for moved in found.displacements:
        if moved.diffuses:
            numbers[f"diffusion of {moved.name}"] = Quantity(moved.coefficient, "A^2/ps")
    for r in found.radial:
        if r.coordination is not None:
            numbers[f"coordination {r.name}"] = Quantity(r.coordination.value, "neighbours")
    return numbers


def merge(members: Sequence[dict[str, Quantity]]) -> dict[str, Merged]:
    """Return mean, standard error and standard deviation of each quantity that all members have."""
    shared = [name for name in members[0] if all(name in member for member in members)]
    return {name: _merged([member[name] for member in members]) for name in shared}


def _merged(found: Sequence[Quantity]) -> Merged:
    values, first = np.array([quantity.value for quantity in found]), found[0]
    n = len(values)
    std = float(values.std(ddof=1)) if n > 1 else None
    error = None if std is None else std / math.sqrt(n)
    expected = [quantity.predicted for quantity in found if quantity.predicted is not None]
    predicted = float(np.mean(expected)) if len(expected) == n else None
    return Merged(float(values.mean()), error, std, n, first.unit, predicted)


def _groups(members: Sequence[Member]) -> Iterator[Group]:
    inputs = [_settings(member) for member in members]
    differing = sorted({key for each in inputs for key in each if _differs(key, inputs)})
    grouped: dict[str, list[Member]] = {}
    settings: dict[str, dict[str, Any]] = {}
    for member, each in zip(members, inputs, strict=True):
        chosen = {".".join(key): each.get(key) for key in differing}
        label = json.dumps(chosen, sort_keys=True)
        settings[label] = chosen
        grouped.setdefault(label, []).append(member)
    for label, group in grouped.items():
        numbers = merge([member.quantities for member in group])
        yield Group(settings[label], tuple(group), numbers, _mean_spectrum(group))


def _settings(member: Member) -> dict[tuple[str, ...], Any]:
    record = member.analysis.run.record
    found = dict(leaves(record["input"]))
    kept = {k: v for k, v in found.items() if k not in SAMPLES and k[0] not in UNIMPORTANT}
    return kept | {("potential", "sha256"): record["potential"].get("sha256")}


def _differs(key: tuple[str, ...], inputs: Sequence[dict[tuple[str, ...], Any]]) -> bool:
    return len({json.dumps(each.get(key)) for each in inputs}) > 1


def _mean_spectrum(group: Sequence[Member]) -> tuple[Array, Array] | None:
    found = [member.analysis.spectrum for member in group]
    spectra = [spectrum for spectrum in found if spectrum is not None]
    if len(spectra) < len(found):
        return None
    grid = spectra[0].wavenumbers
    if not all(np.array_equal(spectrum.wavenumbers, grid) for spectrum in spectra):
        return None
    return grid, np.mean([spectrum.density for spectrum in spectra], axis=0)


def as_data(found: EnsembleAnalysis) -> dict[str, Any]:
    """Return the results for `--json`: units stand beside the numbers."""
    return {
        "ensemble": str(found.folder),
        "groups": [
            {
                "settings": group.settings,
                "members": [member.name for member in group.members],
                "quantities": {name: merged._asdict() for name, merged in group.merged.items()},
            }
            for group in found.groups
        ],
        "members": {
            member.name: {name: q._asdict() for name, q in member.quantities.items()}
            for member in found.members
        },
        "skipped": [{"folder": name, "reason": reason} for name, reason in found.skipped],
    }


def rows(group: Group) -> list[tuple[str, str, str, str, str]]:
    """Return a group as rows of a table: quantity, mean, error, spread, expectation."""
    return [
        (
            name,
            f"{m.mean:.6g} {m.unit}",
            "" if m.error is None else f"{m.error:.2g}",
            "" if m.std is None else f"{m.std:.2g}",
            "" if m.predicted is None else f"{m.predicted:.6g}",
        )
        for name, m in group.merged.items()
    ]


HEAD = "quantity", "mean", "+-", "std", "predicted"
"""Heads of the columns of `rows`."""
