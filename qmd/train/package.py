"""Outputs of a training: the package with its card and domain, the log and the plots."""

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from qmd.config.load import LoadedConfig
from qmd.data import domains
from qmd.errors import NumericalError
from qmd.forces.catalogue import load_package
from qmd.forces.origin import UNBOUNDED_DOMAIN
from qmd.io import files
from qmd.potentials import (
    Committee,
    Domain,
    Package,
    Variant,
    compiled,
    compiled_in_cell,
    on_atoms,
    save,
)
from qmd.report import page
from qmd.system.topology import formula
from qmd.train import bounds, models, states
from qmd.train import report as training_report
from qmd.train.architectures.base import ModelTraits
from qmd.train.card import (
    Predicted,
    Ranked,
    errors_card,
    errors_of_each,
    predict,
    stage_state,
    training_card,
)
from qmd.train.config import TrainConfig
from qmd.train.data import Data
from qmd.train.frame_errors import errors_by_frame
from qmd.train.plots import learning_curve, parity
from qmd.train.problem import Frames
from qmd.train.states import COLUMNS, Plan, StageState
from qmd.typing import Array

N_TEST_VECTORS = 5


def make(
    loaded: LoadedConfig[TrainConfig],
    plan: Plan,
    data: Data,
    traits: ModelTraits,
    ranked: Ranked,
    seconds: float,
    interrupted: bool,
    elements: tuple[str, ...] = (),
) -> tuple[Package, Predicted]:
    """Build the package of the best starts, with its training card; return its predictions, too."""
    config = loaded.config
    chosen = ranked[: config.starts.average]
    members = _members(plan, chosen)
    model = members[0] if len(members) == 1 else Committee(tuple(members))
    predicted = predict(model, data)
    by_elements = bool(elements or config.other_molecules)
    if data.train.kinds is not None:
        assert elements
        trained = bounds.of_compositions(data.train, elements, traits.species)
        compared = UNBOUNDED_DOMAIN
    elif data.train.cells is None:
        trained = compared = bounds.bound(data, traits.species, by_elements=by_elements)
    else:
        trained, compared = bounds.in_cells(data.train, traits.species), UNBOUNDED_DOMAIN
    checked = _checked_frames(data, compared, traits.species, elements)
    by_frame = errors_by_frame(predicted["test"], data.test, data.test_places, compared)
    package = Package(
        name=config.name,
        description=config.description,
        species=traits.species,
        model=model,
        reference_energy_eV=data.zero,
        domain=trained,
        training=training_card(loaded, plan, data, ranked, predicted)
        | {"errors_by_test_frame": by_frame}
        | errors_of_each(members, data)
        | {"seconds_of_last_session": round(seconds), "interrupted": interrupted},
        citation=config.citation or traits.citation,
        licence=config.licence,
        test_positions=checked.positions,
        test_cells=checked.cells,
        elements=elements,
        reference_energies_eV=_references(data),
    )
    if config.other_molecules:
        package = _for_all(package, config, data)
    whole = config.model.assembled(package, data.train.positions, loaded.path.parent)
    if data.train.cells is None and data.train.kinds is None:
        said = bounds.bounds_card(whole.domain, data, traits.species, by_elements=by_elements)
    else:
        said = bounds.bounds_card_in_cells(whole.domain, traits.species)
    return replace(whole, training={**whole.training, "domain": said}), predicted


def _references(data: Data) -> tuple[tuple[str, float], ...]:
    """Return the energies of the elements, in alphabetical order; none for one composition."""
    return () if data.references is None else tuple(sorted(data.references.energies))


def _checked_frames(
    data: Data, domain: Domain, species: tuple[str, ...], elements: tuple[str, ...]
) -> Frames:
    """Return the frames that a package is checked with: inside of the domain, if there are any.

    Of many compositions they are those of the atoms of the package.
    """
    if data.test.kinds is None:
        inside = ~domains.outside(domain, data.test.positions)
        return data.test.take(np.sort(np.argsort(~inside, kind="stable")[:N_TEST_VECTORS]))
    wanted, n = [elements.index(symbol) for symbol in species], len(species)
    filled = np.pad(wanted, (0, data.test.kinds.shape[1] - n), constant_values=-1)
    parts = (data.test, data.train)
    alike = [part.take((part.kinds == filled).all(axis=1)) for part in parts]
    found = alike[0] if len(alike[0].energies) else alike[1]
    found = found.take(slice(N_TEST_VECTORS))
    return found._replace(positions=found.positions[:, :n], forces=None, kinds=None)


def _for_all(package: Package, config: TrainConfig, data: Data) -> Package:
    """Add the other molecules to the package, and their errors to its card."""
    variants: list[Variant] = []
    cards: dict[str, Any] = {}
    for other, its_data in zip(config.other_molecules, data.others, strict=True):
        species = tuple(other.species)
        kinds = models.kinds(config.model, species)
        found = predict(on_atoms(package.model, kinds), its_data)
        isomers = formula(species) in {formula(package.species), *cards}
        name = " ".join(species) if isomers else formula(species)
        cards[name] = errors_card(found, its_data, config.starts.scored_below_eV)
        variants.append(
            Variant(
                species=species,
                kinds=kinds,
                reference_energy_eV=its_data.zero,
                domain=bounds.bound(its_data, species, by_elements=True),
                test_positions=its_data.test.positions[:N_TEST_VECTORS],
            )
        )
    card = {**package.training, "errors_of_the_others": cards}
    return replace(package, training=card, variants=tuple(variants))


def _members(plan: Plan, chosen: Ranked) -> list[Any]:
    """Return the models with the best parameters of each start."""
    import jax
    import jax.numpy as jnp
    from jax.flatten_util import ravel_pytree

    jax.config.update("jax_enable_x64", True)
    first = plan.config.model.first_model(plan.folder, plan.train, plan.config.starts.seed)
    unravel = ravel_pytree(first)[1]
    return [
        jax.tree.map(np.asarray, unravel(jnp.asarray(stage_state(plan, *which).best)))
        for which in chosen
    ]


def _checked(package: Package) -> Callable[..., tuple[float, Array]]:
    """Return the JAX function, against which the native kernel will be checked."""
    function: Callable[..., Any] = (
        compiled(package.potential())
        if package.test_cells is None
        else compiled_in_cell(package.model)
    )

    def evaluate(*geometry: Array) -> tuple[float, Array]:
        energy, forces = function(*geometry)[:2]
        if not (np.isfinite(energy) and np.isfinite(forces).all()):
            raise NumericalError(f"{package.name} is not finite at its own test frames")
        return float(energy), np.asarray(forces)

    return evaluate


def write(
    target: Path, package: Package, plan: Plan, test: Frames, predicted: Predicted, directory: Path
) -> None:
    """Write the package to `target`; card, log, plots and report to `directory`."""
    own, *others = (_checked(package.on(species)) for species in package.served)
    with files.output_errors(target):
        save(target, package, own, others)
    load_package(str(target), Path())  # as a run would: every interpreter agrees
    files.write_text(directory / "card.json", json.dumps(dict(package.training), indent=1))
    states = _all_states(plan)
    files.write_text(directory / "log.csv", log_text(states))
    curve = learning_curve(states, package.training["chosen_starts"])
    residuals = parity(predicted["test"], test)
    files.replace(directory / "learning-curve.png", curve, keep_previous=False)
    files.replace(directory / "parity.png", residuals, keep_previous=False)
    shown = test.positions if test.kinds is None else package.test_positions
    report = training_report.page(
        package.name, package.species, package.training, curve, residuals, shown
    )
    page.write(directory / "report.html", report)


def _all_states(plan: Plan) -> dict[tuple[int, int], StageState]:
    """Return the saved states by (start, stage)."""
    keys = (
        (start, stage)
        for start in range(plan.config.starts.count)
        for stage in range(len(plan.config.stages))
    )
    found = {key: states.load(plan, *key) for key in keys}
    return {key: state for key, state in found.items() if state is not None}


def log_text(states: dict[tuple[int, int], StageState]) -> str:
    """Return every report of every start, as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("start", "stage", *COLUMNS))
    for (start, stage), state in states.items():
        for iteration, *values in state.rows:
            writer.writerow((start, stage + 1, int(iteration), *(f"{v:.8g}" for v in values)))
    return text.getvalue()
