"""From the `model:` section of a training input to a model with its first numbers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from qmd.errors import MismatchError
from qmd.forces.catalogue import load_package
from qmd.potentials import (
    Architecture,
    Parameters,
    Quantum,
    atom_centred,
    leaves,
    perceptron,
    polynomial,
    sivqlm,
    vqlm,
    water_pair,
)
from qmd.train.config import (
    AtomCentredNetworkConfig,
    DensityDimerConfig,
    DimerConfig,
    InitialConfig,
    LiHConfig,
    ModelConfig,
    PackageModelConfig,
    PerceptronConfig,
    PolynomialConfig,
    StartConfig,
    VqlmLiHConfig,
    VqlmWaterConfig,
    WaterConfig,
)
from qmd.train.problem import Frames
from qmd.typing import Array


@dataclass(frozen=True)
class Family:
    """What is the same for all starts of a model."""

    species: tuple[str, ...]
    """Chemical symbols in the atom order that the model serves."""
    rotations: bool
    """Whether it is invariant under rotation."""
    citation: str


KISS = "Kiss et al., Mach. Learn.: Sci. Technol. 3, 035004 (2022), arXiv:2203.04666"
LE = "Le et al., New J. Phys. 27, 023015 (2025), arXiv:2311.11362"
BRAAMS = "Braams, Bowman, Int. Rev. Phys. Chem. 28, 577 (2009)"


def family(config: ModelConfig, folder: Path) -> Family:
    """Species, symmetry and source of the model of `config`; paths start from `folder`.

    Raises
    ------
    MismatchError
        If a package that is named cannot be used, or has no trained numbers.
    """
    match config:
        case LiHConfig():
            return Family(("Li", "H"), True, LE)
        case WaterConfig():
            return Family(("O", "H", "H"), not config.symmetry_breaking, LE)
        case DimerConfig():
            return Family(("O", "H", "H") * 2, not config.symmetry_breaking, LE)
        case DensityDimerConfig():
            return Family(("O", "H", "H") * 2, True, "")
        case VqlmLiHConfig():
            return Family(("Li", "H"), True, KISS)
        case VqlmWaterConfig():
            return Family(("O", "H", "H"), True, KISS)
        case PolynomialConfig():
            return Family(tuple(config.species), True, BRAAMS)
        case AtomCentredNetworkConfig() | InitialConfig() | PerceptronConfig():
            return Family(tuple(config.species), True, "")
        case PackageModelConfig():
            package = load_package(config.name, folder)
            if not any(hasattr(leaf, "parameters") for _, leaf in leaves(package.model)):
                raise MismatchError(f"{config.name} has no numbers to train")
            return Family(package.species, False, package.citation)


def start(config: ModelConfig, folder: Path, frames: Frames, seed: int) -> Any:
    """A model with numbers drawn by `seed`, its head scaled to the energies of training `frames`.

    A polynomial has one start: zero, and the mean distances of the frames for its centres.
    """
    energies = frames.energies
    match config:
        case LiHConfig():
            return _circuit(sivqlm.lih(config.layers, config.blocks), config.start, energies, seed)
        case WaterConfig():
            architecture = sivqlm.water(
                config.layers, config.blocks, symmetry_breaking=config.symmetry_breaking
            )
            return _circuit(architecture, config.start, energies, seed)
        case DimerConfig():
            architecture = sivqlm.water_dimer(
                config.layers, symmetry_breaking=config.symmetry_breaking
            )
            return _circuit(architecture, config.start, energies, seed)
        case DensityDimerConfig():
            return water_pair.interaction(
                seed, config.layers, config.radial if config.vectors == "densities" else None,
                n_circuits=config.circuits, baseline=config.baseline,
                fade=(config.circuit_from_A, config.circuit_to_A),
                switch=(config.switch_from_A, config.switch_to_A),
            )  # fmt: skip
        case VqlmLiHConfig():
            return _generic(vqlm.lih(config.layers, seed=seed), energies)
        case VqlmWaterConfig():
            return _generic(vqlm.water(config.layers, seed=seed), energies)
        case PolynomialConfig():
            return polynomial.molecule(tuple(config.species), config.degree, frames.positions)
        case AtomCentredNetworkConfig():
            network = atom_centred.revised(
                tuple(config.species), seed, elements=tuple(config.elements or config.species),
                n_qubits=config.qubits, n_layers=config.layers,
                n_radial=config.radial, cutoff=config.cutoff_A,
                scalars=config.scalars, energy=float(np.mean(energies)),
            )  # fmt: skip
            return atom_centred.uncoupled(network) if config.control == "uncoupled" else network
        case PerceptronConfig():
            return perceptron.centred(
                tuple(config.species), seed, n_vectors=config.vectors, n_scalars=config.scalars,
                n_hidden=config.hidden, n_radial=config.radial, cutoff=config.cutoff_A,
                energy=float(np.mean(energies)),
            )  # fmt: skip
        case InitialConfig():
            return atom_centred.initial(
                tuple(config.species), seed, frames.positions[0], n_qubits=config.qubits,
                n_layers=config.layers, energy=float(np.mean(energies)),
            )  # fmt: skip
        case PackageModelConfig():
            return _perturbed(load_package(config.name, folder).model, config.spread, seed)


def kinds(config: ModelConfig, species: Sequence[str]) -> tuple[int, ...]:
    """Elements of a molecule, as the network of an input counts them."""
    assert isinstance(config, AtomCentredNetworkConfig)
    known = sorted(set(config.elements or config.species))
    return tuple(known.index(symbol) for symbol in species)


def trainable_mask(config: ModelConfig, model: Any) -> Array | None:
    """1 for each number of `model` that is trained, 0 for the others; None if all are."""
    if not isinstance(config, AtomCentredNetworkConfig) or config.control is None:
        return None
    from jax.flatten_util import ravel_pytree

    p = model.parameters
    if config.control == "frozen":
        fixed = p._replace(vectors=0 * p.vectors, scalars=0 * p.scalars, couplings=0 * p.couplings)
    else:
        scalars = np.ones_like(p.scalars)
        scalars[:, :, :-1] = 0.0
        fixed = p._replace(
            vectors=np.ones_like(p.vectors), scalars=scalars, couplings=0 * p.couplings
        )
    ones = fixed._replace(weights=np.ones_like(p.weights), offsets=np.ones_like(p.offsets))
    return np.asarray(ravel_pytree(ones)[0])


def offset_mask(model: Any) -> Array:
    """1 for each number of `model` that adds to energies alone, 0 for the others."""
    from jax.tree_util import tree_flatten_with_path

    return np.concatenate(
        [
            np.full(np.size(array), str(path[-1]) in (".offset", ".offsets"), float)
            for path, array in tree_flatten_with_path(model)[0]
        ]
    )


def _circuit(
    architecture: Architecture, config: StartConfig, energies: Array, seed: int
) -> Quantum:
    rng = np.random.default_rng(seed)
    circuit, features = architecture.circuit, architecture.features
    n_observables = len(circuit.observables)
    parameters = Parameters(
        scales=np.full((1, features.n_scales), config.scale_per_A),
        couplings=config.coupling_spread
        * rng.standard_normal((circuit.n_layers, circuit.n_couplings)),
        weights=np.full(n_observables, max(float(np.std(energies)), 1e-3) / n_observables),
        offset=np.asarray(np.mean(energies)),
    )
    return Quantum(architecture, parameters)


def _generic(model: vqlm.Vqlm, energies: Array) -> vqlm.Vqlm:
    head = model.parameters._replace(
        slope=np.asarray(max(float(np.std(energies)), 1e-3)), offset=np.asarray(np.mean(energies))
    )
    return replace(model, parameters=head)


def _perturbed(model: Any, spread: float, seed: int) -> Any:
    import jax

    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda p: p + spread * rng.standard_normal(np.shape(p)), model)
