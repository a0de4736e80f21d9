"""Training card of a package: data, stages, starts, errors, versions."""

from typing import Any, NamedTuple

import numpy as np

from qmd.config.load import LoadedConfig
from qmd.jobs.provenance import machine, versions
from qmd.potentials import Committee
from qmd.train import states
from qmd.train.cells import CellPredictor, has_cell_gradient
from qmd.train.compositions.fit import CompositionPredictor
from qmd.train.config import LeastSquaresConfig, TrainConfig
from qmd.train.data import Data
from qmd.train.optimisers import least_squares
from qmd.train.predict import Predictor, errors
from qmd.train.problem import Frames
from qmd.train.states import Plan, StageState
from qmd.typing import Array

Ranked = list[tuple[int, int]]
"""Pairs (start, last stage) of all starts, the best first."""


class Prediction(NamedTuple):
    """Predictions of some frames."""

    energies: Array
    """eV, (n_frames,)"""
    forces: Array
    """eV/angstrom, (n_frames, n_atoms, 3)"""
    stresses: Any = None
    """eV/angstrom^3, (n_frames, 6); None for isolated frames."""


Predicted = dict[str, Prediction]
"""Predictions of the training, validation and test frames."""


def training_card(
    loaded: LoadedConfig[TrainConfig], plan: Plan, data: Data, ranked: Ranked, predicted: Predicted
) -> dict[str, Any]:
    """Return the training card of a package."""
    config, chosen = loaded.config, ranked[: loaded.config.starts.average]
    size = stage_state(plan, *chosen[0]).best.size
    return {
        "level_of_theory": config.level_of_theory,
        "labels": config.dataset,
        "labels_sha256": data.sha256,
        "labels_keys": {
            "energy": config.labels.energy_key or data.energy_key,
            "forces": config.labels.forces_key,
        },
        "split": {part: len(frames.energies) for part, frames in data.parts.items()}
        | {"seed": config.split.seed},
        "label_noise": config.label_noise.model_dump(),
        "loss": config.loss.model_dump(),
        "stages": [_stage_card(stage, size) for stage in config.stages],
        "parameters": int(size) * len(chosen),
        "starts": _starts_card(plan, ranked),
        "chosen_starts": [start for start, _ in chosen],
        "errors_are_against": "the labels of the file, without label_noise",
        **_references(data),
        "errors": errors_card(predicted, data, config.starts.scored_below_eV),
        "seconds_of_all_starts": round(_seconds(plan, ranked)),
        "versions": versions("jax") | _versions("scipy", "optax"),
        "machine": machine(),
        "input_sha256": loaded.sha256,
        "made_by": f"qmd train {loaded.path.name}",
    }  # fmt: skip


def errors_of_each(members: list[Any], data: Data) -> dict[str, Any]:
    """Return the test errors of each committee member; nothing for a single model."""
    if len(members) == 1:
        return {}
    found = (errors_card(predict(model, data), data, None)["test"]["all"] for model in members)
    return {"errors_of_each_alone": {"test": list(found)}}


def _references(data: Data) -> dict[str, Any]:
    """Return the energies of the elements, and how many compositions the frames have."""
    if data.references is None:
        return {}
    rows = (np.sort(frames.kinds, axis=1) for frames in data.parts.values())
    found = {bytes(row) for part in rows for row in part}
    return {
        "reference_energies_eV": dict(data.references.energies), "compositions": len(found)
    }  # fmt: skip


def _stage_card(stage: Any, n_parameters: int) -> dict[str, Any]:
    card: dict[str, Any] = stage.model_dump(exclude_none=True)
    if isinstance(stage, LeastSquaresConfig):
        card["method"] = least_squares.method(n_parameters)
    return card


def _starts_card(plan: Plan, ranked: Ranked) -> list[dict[str, Any]]:
    """Return a row for each start, the best first: its end, and its validation errors."""
    rows = []
    for start, last in ranked:
        states = [stage_state(plan, start, stage) for stage in range(last + 1)]
        rows.append(
            {
                "start": start,
                "seed": plan.config.starts.seed + start,
                "iterations": [state.progress.iteration for state in states],
                "loss": float(f"{states[-1].progress.loss:.6g}"),
                "validation_score_eV_per_A": [float(f"{s.score:.4g}") for s in states],
                "finished": states[-1].done,
            }
        )
    return rows


def stage_state(plan: Plan, start: int, stage: int) -> StageState:
    """Return the state of a start after a stage, which must be there."""
    state = states.load(plan, start, stage)
    assert state is not None
    return state


def _seconds(plan: Plan, ranked: Ranked) -> float:
    return sum(
        stage_state(plan, start, stage).seconds
        for start, last in ranked
        for stage in range(last + 1)
    )


def _versions(*names: str) -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in names}


def predict(model: Any, data: Data) -> Predicted:
    """Predict energies and forces of the training, validation and test frames."""
    from jax.flatten_util import ravel_pytree

    if data.test.kinds is not None:
        theta = np.asarray(ravel_pytree(model)[0])
        return {
            part: Prediction(*CompositionPredictor(model, frames).with_stresses(theta))
            for part, frames in data.parts.items()
        }
    if data.test.cells is not None:
        return {part: _in_cells(model, frames) for part, frames in data.parts.items()}
    positions = np.concatenate([frames.positions for frames in data.parts.values()])
    found = Predictor(model, positions)(np.asarray(ravel_pytree(model)[0]))
    ends = np.cumsum([len(frames.energies) for frames in data.parts.values()])[:-1]
    each = zip(*(np.split(values, ends) for values in found), strict=True)
    return dict(zip(data.parts, (Prediction(*parts) for parts in each), strict=True))


def _in_cells(model: Any, frames: Frames) -> Prediction:
    """Return the predictions of a model, or of the mean of several, at frames in cells."""
    members = model.members if isinstance(model, Committee) else (model,)
    found = [_one_in_cells(member, frames) for member in members]
    return Prediction(*(np.mean(part, axis=0) for part in zip(*found, strict=True)))


def _one_in_cells(model: Any, frames: Frames) -> tuple[Array, Array, Array]:
    from jax.flatten_util import ravel_pytree

    theta = np.asarray(ravel_pytree(model)[0])
    native = has_cell_gradient(model)
    return CellPredictor(model, frames, native=native).with_stresses(theta)


def errors_card(
    predicted: Predicted, data: Data, below: float | None
) -> dict[str, dict[str, dict[str, float | int | None]]]:
    """Return the errors on each set of frames: on all, and on those below an energy (eV)."""
    card: dict[str, dict[str, dict[str, float | int | None]]] = {}
    for part, frames in data.parts.items():
        everything = np.ones(len(frames.energies), bool)
        groups = {"all": everything}
        if below is not None:
            groups = {f"below_{below:g}_eV": frames.energies < below} | groups
        card[part] = {
            name: {"frames": int(chosen.sum()), **_errors(predicted[part], frames, chosen)}
            for name, chosen in groups.items()
            if chosen.any()
        }
    return card


def _errors(predicted: Prediction, frames: Frames, chosen: Any) -> dict[str, float | int | None]:
    energies, forces = (values[chosen] for values in predicted[:2])
    found = dict(errors(energies, forces, frames.take(chosen))._asdict())
    if frames.cells is None and frames.kinds is None:
        return found
    if frames.kinds is None:
        found["energy_rmse_meV_per_atom"] = found["energy_rmse_meV"] / frames.positions.shape[1]
    else:
        of_atom = (energies - frames.energies[chosen]) / frames.n_atoms[chosen]
        found["energy_rmse_meV_per_atom"] = 1000 * float(np.sqrt(np.mean(of_atom**2)))
        found["energy_mae_meV_per_atom"] = 1000 * float(np.mean(np.abs(of_atom)))
    if frames.stresses is not None and predicted.stresses is not None:
        off = (predicted.stresses - frames.stresses)[chosen]
        found["stress_rmse_meV_per_A3"] = 1000 * float(np.sqrt(np.mean(off**2)))
        found["stress_mae_meV_per_A3"] = 1000 * float(np.mean(np.abs(off)))
    return found
