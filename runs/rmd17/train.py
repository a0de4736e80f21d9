"""One training of the study, by the parts of qmd that `qmd train` is made of."""

import time
from dataclasses import asdict, replace
from pathlib import Path

import jax
import numpy as np
from ase.data import chemical_symbols
from jax.flatten_util import ravel_pytree
from rows import ADAM_BATCH

from qmd.data.datasets import Labels, read
from qmd.train import models
from qmd.train.config import AtomCentredNetworkConfig, InitialConfig, PerceptronConfig
from qmd.train.jax_engine import JaxEngine
from qmd.train.native_engine import NativeEngine, NativePredictor
from qmd.train.optimisers import first_order, gauss_newton
from qmd.train.predict import Predictor, errors
from qmd.train.problem import Frames, JointProblem, Loss, OptimiserProgress, Problem

CONFIGS = {
    "qnn-revised": AtomCentredNetworkConfig,
    "qnn-initial": InitialConfig,
    "perceptron": PerceptronConfig,
}
ENERGY_WEIGHT = 1.0
BATCH, ROWS_OF_A_BATCH, DAMPING, LEARNING_RATE, MOMENTUM = 128, 1024, 0.01, 0.3, 0.9
N_VALIDATION = 50
"""Frames that are kept apart, though nothing is chosen by them: as in `qmd train`."""
SETTINGS = {
    "energy_weight": ENERGY_WEIGHT, "batch": BATCH, "rows_of_a_batch": ROWS_OF_A_BATCH,
    "damping": DAMPING, "learning_rate": LEARNING_RATE, "momentum": MOMENTUM,
    "adam_batch": ADAM_BATCH, "n_validation": N_VALIDATION,
}  # fmt: skip
"""Settings of all rows."""
OUTPUT = Path(__file__).resolve().parent / "output"


def train(row, seed, data):
    """Train a row; returns settings, errors in meV and meV/angstrom, and times."""
    jax.config.update("jax_enable_x64", True)
    begin = time.monotonic()
    found = {m: labels(data, m) for m in (*row.molecules, *row.also_tested)}
    elements = tuple(sorted({s for species, *_ in found.values() for s in species}))
    built = {
        molecule: build(row, species, elements, frames, seed)
        for molecule, (species, frames, _) in found.items()
    }
    fitted = {
        molecule: found[molecule][1].take(slice(N_VALIDATION, N_VALIDATION + row.frames))
        for molecule in row.molecules
    }
    problems = [problem_of(row, *[*built[molecule], frames]) for molecule, frames in fitted.items()]
    problem = problems[0] if len(problems) == 1 else JointProblem(problems)
    theta = np.array(ravel_pytree(built[row.molecules[0]][1])[0])
    theta = fit(problem, theta, row, seed)
    theta = gauss_newton.with_best_offsets(
        problem, theta, models.offset_mask(built[row.molecules[0]][1])
    )
    OUTPUT.mkdir(exist_ok=True)
    np.savez(OUTPUT / f"{row.name}-{seed}.npz", theta=theta)
    tested = {m: frames for m, (_, _, frames) in found.items()}
    test, train = (
        {m: judged(row, built[m][1], theta, frames) for m, frames in part.items()}
        for part in (tested, fitted)
    )
    return {
        "row": asdict(row),
        "settings": SETTINGS,
        "n_parameters": theta.size,
        "n_free": free_numbers(row, *built[row.molecules[0]]),
        "errors": {"test": test, "train": train},
        "seconds": round(time.monotonic() - begin),
    }


def labels(data, molecule):
    """Elements, training frames in a drawn order, and test frames; energies from the lowest."""
    train, test = (
        read(data / f"{molecule}_{part}_01.npz", Labels(energy_unit="eV"))
        for part in ("train", "test")
    )
    order = np.random.default_rng(1).permutation(len(train.energies))
    zero = train.energies.min()
    first = Frames(train.positions, train.energies - zero, train.forces).take(order)
    species = tuple(chemical_symbols[z] for z in train.numbers)
    return species, first, Frames(test.positions, test.energies - zero, test.forces)


def build(row, species, elements, frames, seed):
    """The input of a model, and the model with its first numbers."""
    Config = CONFIGS[row.model["kind"]]
    shared = {"elements": list(elements)} if Config is AtomCentredNetworkConfig else {}
    config = Config(species=list(species), **row.model, **shared)
    return config, widened(config.first_model(Path(), frames, seed), row.spread)


def widened(model, factor):
    """A model with other first radial functions."""
    if factor == 1:
        return model
    p = model.parameters
    wider = p._replace(vectors=factor * p.vectors, scalars=factor * p.scalars)
    return replace(model, parameters=wider)


def problem_of(row, config, model, frames):
    """The fit of one molecule."""
    engine = JaxEngine if row.model["kind"] == "perceptron" else NativeEngine
    return Problem(
        model,
        frames,
        Loss(energy_weight=ENERGY_WEIGHT),
        engine,
        trainable_mask=config.trainable_mask(model),
    )


def free_numbers(row, config, model):
    """Numbers that were trained."""
    free = config.trainable_mask(model)
    return ravel_pytree(model)[0].size if free is None else int(free.sum())


def fit(problem, theta, row, seed):
    """Parameters at the end of the schedule."""
    last, begin = [], OptimiserProgress(0, np.inf, theta)
    if row.adam is not None:
        first_order.adam(
            problem, begin, last.append, steps=row.steps, batch=ADAM_BATCH,
            learning_rate=row.adam, final_fraction=0.0, weight_decay=0.0, ema=0.0,
            report_every=row.steps, seed=seed,
        )  # fmt: skip
        return last[-1].theta
    batch = min(BATCH, problem.n_frames)
    settings = gauss_newton.Settings(
        steps=row.steps, batch=batch, slopes=ROWS_OF_A_BATCH // batch - 1,
        learning_rate=LEARNING_RATE, momentum=MOMENTUM, damping=DAMPING / problem.n_frames,
        report_every=row.steps, seed=seed,
    )  # fmt: skip
    gauss_newton.minimise(problem, begin, settings, last.append)
    return last[-1].theta


def judged(row, model, theta, frames):
    """Errors of energies and forces; of energies also apart from a constant."""
    make = Predictor if row.model["kind"] == "perceptron" else NativePredictor
    energies, forces = make(model, frames.positions)(theta)
    found = errors(energies, forces, frames)
    apart = energies - frames.energies
    return {
        "energy_mae_meV": round(found.energy_mae_meV, 3),
        "energy_mae_apart_from_a_constant_meV": round(
            1000 * float(np.mean(np.abs(apart - np.median(apart)))), 3
        ),
        "forces_mae_meV_per_A": round(found.forces_mae_meV_per_A, 3),
        "energy_rmse_meV": round(found.energy_rmse_meV, 3),
        "forces_rmse_meV_per_A": round(found.forces_rmse_meV_per_A, 3),
    }
