"""Frames for training, validation and test, from the data set of a training input."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import numpy as np
from ase.data import chemical_symbols

from qmd.data import checks, datasets
from qmd.data.compositions import ReferenceEnergies
from qmd.data.datasets import Dataset, Labels
from qmd.errors import InputError
from qmd.io import files
from qmd.train.config import NoiseConfig, SplitConfig, TrainConfig
from qmd.train.problem import Frames

SMALLEST = {"train": 2, "validation": 1, "test": 5}
"""Smallest useful number of frames of each set; the package contains five test frames."""


@dataclass(frozen=True, eq=False)
class Data:
    """Labelled frames, with energies relative to `zero`."""

    train: Frames
    validation: Frames
    test: Frames
    zero: float
    """Zero of energy of the model on the scale of the labels, eV."""
    sha256: dict[str, str]
    """SHA-256 of the files, by key of the input."""
    energy_key: str | None = None
    """Name of the energies of `dataset`, where the file has two that differ."""
    notes: tuple[str, ...] = ()
    """Lines for the user about the files."""
    others: tuple["Data", ...] = ()
    """Data of the other molecules."""
    test_places: np.ndarray | None = None
    """Index of each test frame in its file, from 0; None if unknown."""
    references: ReferenceEnergies | None = None
    """Energies of the elements, for frames of many compositions, whose energies are above those of
    their atoms; `zero` is then that of the atoms of the package."""

    @property
    def parts(self) -> dict[str, Frames]:
        return {"train": self.train, "validation": self.validation, "test": self.test}


def load(config: TrainConfig, folder: Path, species: tuple[str, ...]) -> Data:
    """Read, check and split the data of an input.

    Raises
    ------
    InputError, MismatchError
        In one line, if the labels cannot be right, belong to other atoms, or are too few.
    """
    dataset = _read(config.dataset, config, folder, species)
    own_test = config.test_dataset and _read(config.test_dataset, config, folder, species)
    extra = config.extra_dataset and _read(config.extra_dataset, config, folder, species)
    _check_alike(dataset, own_test, extra)
    train, validation, rest = _split(config.split, dataset, with_test=not own_test)
    test = own_test.take(np.arange(len(own_test))) if own_test else dataset.take(rest)
    if own_test and config.split.test is not None:
        test = own_test.take(first_frames(config.split, len(own_test)))
    fitted = dataset.energies[train]
    zero = float(fitted.min()) if config.labels.zero == "lowest" else 0.0
    frames = _frames(dataset.take(train), zero)
    files = {"dataset": dataset, "test_dataset": own_test, "extra_dataset": extra}
    return Data(
        train=frames.joined(_frames(extra, zero)) if extra else frames,
        validation=_frames(dataset.take(validation), zero),
        test=_frames(test, zero),
        zero=zero,
        sha256={key: file.sha256 for key, file in files.items() if file},
        test_places=test.places,
        energy_key=dataset.energy_key,
        notes=tuple(note for file in files.values() if file for note in file.notes),
    )


def load_others(config: TrainConfig, folder: Path) -> tuple[Data, ...]:
    """Read the data of the other molecules of an input, each split like the first one.

    Raises
    ------
    InputError, MismatchError
        See `load`.
    """
    files = (
        {"dataset": other.dataset, "test_dataset": other.test_dataset, "extra_dataset": None}
        for other in config.other_molecules
    )
    each = zip(files, config.other_molecules, strict=True)
    return tuple(
        load(config.model_copy(update=names), folder, tuple(other.species)) for names, other in each
    )


def species_of(config: TrainConfig, folder: Path) -> tuple[str, ...]:
    """Return the chemical symbols of the labels.

    Raises
    ------
    InputError
        If the file does not say them.
    """
    dataset = _unchecked(config.dataset, config, folder)
    if dataset.numbers is None:
        raise InputError(
            f"dataset '{dataset.name}' does not say its atoms", hint="set model.species"
        )
    return tuple(chemical_symbols[z] for z in dataset.numbers)


def _read(name: str, config: TrainConfig, folder: Path, species: tuple[str, ...]) -> Dataset:
    dataset = _unchecked(name, config, folder)
    if config.labels.repeats == "drop":
        dataset = checks.without_repeats(dataset)
    fitted = [config.loss, *(stage.loss for stage in config.stages if stage.loss)]
    checks.check(dataset, species, forces=any(loss.forces for loss in fitted))
    return dataset


def _unchecked(name: str, config: TrainConfig, folder: Path) -> Dataset:
    names = (field.name for field in fields(Labels))
    known = {name: getattr(config.labels, name, None) for name in names}
    labels = Labels(**known | {"groups_key": config.split.groups_key})
    path = files.find_data(name, folder, "dataset", "give its path with --set dataset=PATH")
    return datasets.read(path, labels, periodic=True)


def _check_alike(first: Dataset, *others: Dataset | Literal[""] | None) -> None:
    """Refuse isolated frames beside frames in cells."""
    for other in others:
        if other and (other.cells is None) != (first.cells is None):
            raise InputError(
                f"dataset '{other.name}' has {'no ' * (other.cells is None)}cells, but "
                f"'{first.name}' has {'no ' * (first.cells is None)}cells"
            )


def _split(
    config: SplitConfig, dataset: Dataset, *, with_test: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return train, validation and test indices; those of the test may be whole groups."""
    if config.test_groups is None:
        return draw(config, len(dataset), with_test=with_test)
    assert dataset.groups is not None
    if not with_test:
        raise InputError("both test_dataset and split.test_groups name the test; give one of them")
    tested = np.isin(dataset.groups, config.test_groups)
    if tested.sum() < SMALLEST["test"] or tested.all():
        raise InputError(
            f"split.test_groups chooses {tested.sum()} of {len(dataset)} frames; the groups are "
            f"{', '.join(map(str, np.unique(dataset.groups)))}"
        )
    others = np.flatnonzero(~tested)
    train, validation, _ = draw(config, len(others), with_test=False)
    return others[train], others[validation], np.flatnonzero(tested)


def draw(
    config: SplitConfig, n: int, *, with_test: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw train, validation and test indices from `n` frames; the last are few without a test."""
    counts = {"train": _count(config.train, n), "validation": _count(config.validation, n)}
    left = n - sum(counts.values())
    if with_test:
        counts["test"] = left if config.test is None else _count(config.test, n)
    if sum(counts.values()) > n or any(count < SMALLEST[p] for p, count in counts.items()):
        needed = ", ".join(f"{max(count, SMALLEST[p])} for {p}" for p, count in counts.items())
        raise InputError(
            f"the data has {n} frames, too few for split: {needed}",
            hint="change split, or provide more frames",
        )
    order = np.random.default_rng(config.seed).permutation(n)
    if config.method == "even":
        spaced = np.linspace(0, n - 1, counts["train"]).round().astype(int)
        order = np.concatenate([spaced, order[~np.isin(order, spaced)]])
    ends = np.cumsum(list(counts.values()))
    train, validation, test, _ = np.split(order, [*ends, n][:3])
    return train, validation, test


def first_frames(config: SplitConfig, n: int) -> np.ndarray:
    """Return the indices of the frames of a test file of `n` frames that `split.test` asks for."""
    assert config.test is not None
    count = _count(config.test, n)
    if not SMALLEST["test"] <= count <= n:
        raise InputError(f"test_dataset has {n} frames, split.test asks for {count}")
    return np.random.default_rng(config.seed).permutation(n)[:count]


def _count(share: float, n: int) -> int:
    return share if isinstance(share, int) else int(share * n)


def _frames(dataset: Dataset, zero: float) -> Frames:
    energies = dataset.energies - zero
    return Frames(dataset.positions, energies, dataset.forces, dataset.cells, dataset.stresses)


def with_noise(data: Data, config: NoiseConfig) -> tuple[Frames, Frames]:
    """Return training and validation frames with Gaussian noise on their labels."""
    rng = np.random.default_rng(config.seed)

    def noisy(frames: Frames) -> Frames:
        energies = frames.energies + config.energy_std_eV * rng.standard_normal(len(frames[1]))
        forces = frames.forces
        if forces is not None:
            noise = config.forces_std_eV_per_A * rng.standard_normal(forces.shape)
            forces = forces + noise * frames.present[..., None]
        return frames._replace(energies=energies, forces=forces)

    return noisy(data.train), noisy(data.validation)
