"""The domain of a trained package, taken anew from the frames of its training."""

from pathlib import Path
from typing import Any

from qmd.config.load import LoadedConfig
from qmd.data import domains
from qmd.errors import MismatchError
from qmd.forces.catalogue import load_package
from qmd.io import files
from qmd.potentials import Domain, Package, bounded_anew, find
from qmd.train import bounds, session
from qmd.train.config import TrainConfig
from qmd.train.data import Data


def bound_anew(potential: str, loaded: LoadedConfig[TrainConfig], target: Path) -> Package:
    """Write a copy of a package with bounds that are taken anew from its training frames.

    They are ranges of each pair of atoms, or, of a package that was trained in cells, the least
    distances of its elements. Parameters and test vectors keep their bytes.

    Parameters
    ----------
    potential : str
        Name or path of a package of one molecule, or of elements that was trained in cells.
    loaded : LoadedConfig
        Input of its training.
    target : Path

    Returns
    -------
    Package
        The new one.

    Raises
    ------
    MismatchError
        If the package serves several molecules, is joined from two trainings, or was trained on
        other frames.
    """
    package = load_package(potential, Path())
    in_cells = package.test_cells is not None
    if package.variants or (package.elements and not in_cells):
        raise MismatchError(
            f"{package.name} serves several molecules: its ranges are those of pairs of elements"
        )
    if "monomer" in package.training:
        raise MismatchError(f"{package.name} is joined from two trainings", "train it again")
    job = session.prepare(loaded)
    data, known = job.data, package.training.get("labels_sha256")
    split = {part: len(frames.energies) for part, frames in data.parts.items()}
    split["seed"] = loaded.config.split.seed
    if (package.species, known, package.training.get("split")) != (
        job.traits.species, data.sha256, split,
    ):  # fmt: skip
        raise MismatchError(
            f"{package.name} was trained on other frames than those of {loaded.path.name}",
            hint="give the input of its training; see labels_sha256 and split of its card",
        )
    if in_cells:
        domain = bounds.in_cells(data.train, package.species)
        said = bounds.bounds_card_in_cells(domain, package.species)
    else:
        domain = bounds.bound(data, package.species, by_elements=False)
        said = bounds.bounds_card(domain, data, package.species, by_elements=False)
    card = {**package.training, "domain": said}
    if not in_cells and (by_frame := card.get("errors_by_test_frame")):
        card["errors_by_test_frame"] = _counted_anew(by_frame, data, domain)
    with files.output_errors(target):
        bounded_anew(find(potential), target, domain, card)
    return load_package(str(target), Path())


def _counted_anew(by_frame: dict[str, Any], data: Data, domain: Domain) -> dict[str, Any]:
    """Return errors by test frame with the frames that are outside another domain."""
    strays = domains.outside(domain, data.test.positions)
    places = range(len(strays)) if data.test_places is None else data.test_places.tolist()
    stray_of = dict(zip(places, strays.tolist(), strict=True))
    worst = [
        frame | {"outside_domain": stray_of[frame["frame"]]} for frame in by_frame["worst_frames"]
    ]
    return by_frame | {"outside_domain": int(strays.sum()), "worst_frames": worst}
