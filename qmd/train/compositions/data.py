"""Frames of many compositions for training, validation and test.

Total energies of different atoms differ by the energies of the atoms. One energy for each element
is fitted to the training frames by least squares and taken away: that is the zero of the model.
"""

from collections import Counter
from dataclasses import fields
from pathlib import Path

import numpy as np
from ase.data import atomic_numbers, chemical_symbols

from qmd.data import compositions
from qmd.data.compositions import Compositions, ReferenceEnergies, reference_energies
from qmd.data.datasets import LAST_ELEMENT, Labels
from qmd.errors import InputError
from qmd.io import files
from qmd.train.config import TrainConfig
from qmd.train.data import Data, draw, first_frames
from qmd.train.problem import Frames

Species = tuple[str, ...]


def are_wanted(config: TrainConfig) -> bool:
    """Return True if an input is for labels of many compositions."""
    return config.labels.zero == "elements"


def elements_of(config: TrainConfig, folder: Path) -> Species:
    """Return the elements of all labels of an input, in alphabetical order."""
    names = config.dataset, config.test_dataset, config.extra_dataset
    found = {symbol for name in names if name for symbol in _read(name, config, folder).elements}
    return tuple(sorted(found))


def load(config: TrainConfig, folder: Path, elements: Species) -> tuple[Data, Species]:
    """Read, check and split the data of an input.

    Parameters
    ----------
    config : TrainConfig
    folder : Path
        Folder to which its paths are relative.
    elements : tuple of str
        Elements in the order of the model.

    Returns
    -------
    data : Data
        Its zero is that of the atoms below.
    species : tuple of str
        Atoms of the training frame with the most pairs of elements, whose frames check a package.

    Raises
    ------
    InputError
        In one line, if the labels cannot be right, are too few, or if an element of a validation or
        test frame has no training frame.
    """
    dataset = _read(config.dataset, config, folder)
    own_test = _read(config.test_dataset, config, folder) if config.test_dataset else None
    extra = _read(config.extra_dataset, config, folder) if config.extra_dataset else None
    train, validation, rest = draw(config.split, len(dataset), with_test=own_test is None)
    test = dataset.take(rest) if own_test is None else own_test.take(np.arange(len(own_test)))
    if own_test is not None and config.split.test is not None:
        test = own_test.take(first_frames(config.split, len(own_test)))
    fitted = [dataset.take(train), *([] if extra is None else [extra])]
    references = reference_energies(
        _filled([part.numbers for part in fitted]),
        np.concatenate([part.energies for part in fitted]),
    )
    most = max(part.numbers.shape[1] for part in (dataset, test, *fitted))

    def frames(part: Compositions) -> Frames:
        return padded(part, references, elements, most)

    trained = frames(fitted[0])
    for part in fitted[1:]:
        trained = trained.joined(frames(part))
    species = _with_most_pairs(fitted)
    named = {"dataset": dataset, "test_dataset": own_test, "extra_dataset": extra}
    data = Data(
        train=trained,
        validation=frames(dataset.take(validation)),
        test=frames(test),
        zero=float(references.of(np.array([[atomic_numbers[s] for s in species]]))[0]),
        sha256={key: part.sha256 for key, part in named.items() if part is not None},
        test_places=test.places,
        energy_key=config.labels.energy_key,
        references=references,
    )
    return data, species


def _read(name: str, config: TrainConfig, folder: Path) -> Compositions:
    known = {field.name: getattr(config.labels, field.name, None) for field in fields(Labels)}
    path = files.find_data(name, folder, "dataset", "give its path with --set dataset=PATH")
    found = compositions.read(path, Labels(**known))
    fitted = [config.loss, *(stage.loss for stage in config.stages if stage.loss)]
    if found.forces is None and any(loss.forces for loss in fitted):
        raise InputError(
            f"dataset '{found.name}' has no forces", hint="set loss.forces: false to fit energies"
        )
    return found


def padded(
    part: Compositions, references: ReferenceEnergies, elements: Species, most: int
) -> Frames:
    """Return frames of many compositions, with energies above those of their atoms.

    Parameters
    ----------
    part : Compositions
    references : ReferenceEnergies
    elements : tuple of str
        Elements in the order of the model.
    most : int
        Number of atoms to which frames are filled up.

    Raises
    ------
    InputError
        If an element has no reference energy.
    """
    place = np.full(LAST_ELEMENT + 1, -1)
    place[[atomic_numbers[symbol] for symbol in elements]] = range(len(elements))

    def filled(array: np.ndarray) -> np.ndarray:
        width = [(0, 0)] * array.ndim
        width[1] = 0, most - array.shape[1]
        return np.pad(array, width)

    return Frames(
        filled(part.positions), part.energies - references.of(part.numbers),
        None if part.forces is None else filled(part.forces), part.cells, part.stresses,
        place[filled(part.numbers)],
    )  # fmt: skip


def _filled(parts: list[np.ndarray]) -> np.ndarray:
    most = max(part.shape[1] for part in parts)
    return np.concatenate([np.pad(part, ((0, 0), (0, most - part.shape[1]))) for part in parts])


def _with_most_pairs(parts: list[Compositions]) -> Species:
    """Return the atoms of the smallest frame of those with the most pairs of elements."""
    best: tuple[int, int, Species] = (0, 0, ())
    for part in parts:
        for numbers in part.numbers:
            species = tuple(chemical_symbols[z] for z in numbers if z)
            counts = Counter(species)
            n = len(counts)
            pairs = n * (n - 1) // 2 + sum(count > 1 for count in counts.values())
            best = max(best, (pairs, -len(species), species), key=lambda each: each[:2])
    return best[2]
