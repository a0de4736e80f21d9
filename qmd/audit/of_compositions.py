"""Errors of a model of elements on labels of many compositions, in one compiled function."""

from pathlib import Path
from typing import Any

import numpy as np
from ase.data import atomic_numbers

from qmd.audit.evaluation import Evaluation, mean_errors
from qmd.data.compositions import Compositions, ReferenceEnergies, read
from qmd.data.datasets import LAST_ELEMENT, Labels
from qmd.data.padded import pairs_of
from qmd.errors import MismatchError, NumericalError
from qmd.potentials import Package
from qmd.typing import Array


def load_labels(package: Package, path: Path, **labels: str | None) -> Compositions:
    """Read labels for `package`, which was trained on many compositions.

    Parameters
    ----------
    package : Package
    path : Path
    **labels
        Keys and units of `qmd.data.datasets.Labels`; default: the keys that the card names.

    Raises
    ------
    MismatchError
        If they have an element that the potential was not trained on.
    """
    keys = package.training.get("labels_keys") or {}
    energy_key = labels.pop("energy_key", None) or keys.get("energy")
    forces_key = labels.pop("forces_key", None) or keys.get("forces")
    found = read(path, Labels(energy_key, forces_key, **labels))
    if missing := set(found.elements) - set(dict(package.reference_energies_eV)):
        raise MismatchError(
            f"{found.name} has atoms of {', '.join(sorted(missing))}, which {package.name} was not "
            "trained on"
        )
    return found


def evaluate(package: Package, labels: Compositions, *, fit_offset: bool = False) -> Evaluation:
    """Compare a model of elements with labels of many compositions, in absolute energies.

    The errors of energies are those of whole frames, not of atoms, and nothing is said of domains.

    Parameters
    ----------
    package : Package
        With reference energies of the elements.
    labels : Compositions
    fit_offset : bool
        Remove the mean difference of the energies first.

    Raises
    ------
    NumericalError
        If an energy or a force of the model is not finite.
    """
    energies, forces, virials = _evaluated(package, labels)
    if not (np.isfinite(energies).all() and np.isfinite(forces).all()):
        raise NumericalError(f"{package.name} gives energies or forces that are not finite")
    references = ReferenceEnergies(package.reference_energies_eV)
    difference = energies + references.of(labels.numbers) - labels.energies
    offset = -float(difference.mean()) if fit_offset else 0.0
    mse_energy, mae_energy = mean_errors(difference + offset)
    mse_forces = mae_forces = mse_stress = mae_stress = None
    if labels.forces is not None:
        mse_forces, mae_forces = mean_errors((forces - labels.forces)[labels.numbers > 0])
    if labels.stresses is not None and labels.cells is not None:
        volumes = np.abs(np.linalg.det(labels.cells))
        voigt = virials[:, (0, 1, 2, 1, 0, 0), (0, 1, 2, 2, 2, 1)]
        mse_stress, mae_stress = mean_errors(-voigt / volumes[:, None] - labels.stresses)
    return Evaluation(
        n=len(energies),
        n_outside_domain=0,
        energy_offset_eV=offset,
        mse_energy_eV2=mse_energy,
        mse_forces_eV2_per_A2=mse_forces,
        mae_energy_meV=1000 * mae_energy,
        mae_forces_meV_per_A=None if mae_forces is None else 1000 * mae_forces,
        mse_stress_eV2_per_A6=mse_stress,
        mae_stress_meV_per_A3=None if mae_stress is None else 1000 * mae_stress,
    )


def _evaluated(package: Package, labels: Compositions) -> tuple[Array, Array, Array]:
    """Return energies (n,), forces (n, n_atoms, 3) and virials (n, 3, 3) of all frames."""
    import jax
    import jax.numpy as jnp

    from qmd.potentials import jax_model

    jax.config.update("jax_enable_x64", True)
    place = np.full(LAST_ELEMENT + 1, -1)
    place[[atomic_numbers[symbol] for symbol in package.elements]] = range(len(package.elements))
    cells = np.zeros((len(labels), 3, 3)) if labels.cells is None else labels.cells
    reach = jax_model.cutoff(package.model)
    pairs = pairs_of(labels.positions, cells, reach, labels.n_atoms)

    @jax.jit
    def one(kinds: Any, x: Any, cell: Any, i: Any, j: Any, shifts: Any) -> Any:
        def energy(x: Any, strain: Any) -> Any:
            by = jnp.eye(3) + strain
            around = i, j, shifts
            return jax_model.energy_of_kinds(package.model, kinds, x @ by, cell @ by, around)

        value, (slopes, strain) = jax.value_and_grad(energy, argnums=(0, 1))(x, jnp.zeros((3, 3)))
        return value, -slopes, -strain

    arrays = place[labels.numbers], labels.positions, cells, *pairs
    found = [one(*(array[frame] for array in arrays)) for frame in range(len(labels))]
    energies, forces, virials = (np.array(part) for part in zip(*found, strict=True))
    return energies, forces, virials
