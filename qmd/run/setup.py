"""From the user's input to the objects of a run: the only place that chooses between kinds."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from qmd import units
from qmd.config.base import RampConfig
from qmd.config.load import LoadedConfig
from qmd.errors import InputError
from qmd.forces.build import build_potential
from qmd.forces.combine import confined
from qmd.forces.origin import PotentialOrigin, domain_limits
from qmd.forces.runnable import ForceSpread, RunnablePotential, require_cell
from qmd.integrators import (
    AbstractIntegrator,
    AbstractReplicas,
    BatchedReplicas,
    Force,
    Limits,
    NativeReplicas,
    Ramp,
    Stream,
    neighbours,
)
from qmd.io.boxes import Box
from qmd.io.structure import load_box, load_system
from qmd.jobs.provenance import versions
from qmd.potentials import Domain, Model, SphericalWall
from qmd.run.config import (
    MAY_CHANGE_ON_RESUME,
    BoxConfig,
    ConfinementConfig,
    IntegratorConfig,
    RunConfig,
    ShotNoiseConfig,
)
from qmd.run.motion import check_motion, fitted, inverse_masses, thermometer_of
from qmd.system.isotopes import with_masses
from qmd.system.system import System
from qmd.system.thermometer import Thermometer

MAX_BATCH_ATOMS = 1_000_000
"""In all replicas: what a checkpoint has room for."""
LEAST_REACH_A = 0.1
"""Reach of the list of a domain without any least distance."""


@dataclass(frozen=True, eq=False)
class RunSetup:
    """Everything that `qmd.run.simulation` needs; nothing has been written yet."""

    loaded: LoadedConfig[RunConfig]
    system: System
    potential: PotentialOrigin
    integrator: AbstractIntegrator
    force: Force
    limits: Limits
    stream: Stream
    thermometer: Thermometer
    identity: str
    """SHA-256 of the start and of all settings that a resumed run must share."""
    force_spread: ForceSpread | None = None
    """Function of a committee: positions (angstrom) -> spread of the force on each atom (eV/A)."""
    jax_model: Model | None = None
    """The model whose JAX function gives the forces, if that is what the input asks for."""

    @property
    def config(self) -> RunConfig:
        return self.loaded.config

    @property
    def dof(self) -> int:
        """Kinetic degrees of freedom."""
        return self.thermometer.dof

    @property
    def title(self) -> str:
        """For trajectories and people."""
        return f"{self.system.name} on {self.potential.name}"

    @property
    def dt(self) -> float:
        """Time step, internal units."""
        return float(self.config.integrator.timestep_fs * units.fs)

    @property
    def versions(self) -> dict[str, str]:
        """Versions on which the bits of the run depend."""
        return versions(*self.potential.needs)


def set_up(loaded: LoadedConfig[RunConfig]) -> RunSetup:
    """Check and make everything a run needs.

    Raises
    ------
    InputError, MismatchError
        In one line, if the structure, the package, or the two together cannot be used.
    """
    config = loaded.config
    system, potential = system_and_potential(loaded)
    method = build_integrator(config.integrator, config.noise, potential.native_model)
    check_motion(config, system, method)
    _check_replicas(config, system, potential, method)
    _check_cell(config, system, potential)
    if config.confinement is not None:
        potential = confined(potential, _sphere(system.n_atoms, config.confinement))
    threads = config.threads if config.replicas == 1 else None  # replicas share them otherwise
    stream, force = Stream(config.seed, config.replica), potential.force(threads or 1)
    require_cell(force, system.cell, potential.source.name)
    limits = build_limits(config, potential.source.domain, system)
    if limits.kinds.size:
        force = neighbours.watched(force, max(float(limits.least.max()), LEAST_REACH_A))
    thermometer = thermometer_of(config, system, method, stream)
    in_batches = potential.backend == "jax" and not system.is_periodic
    return RunSetup(
        loaded=loaded,
        system=system,
        potential=potential.source,
        integrator=fitted(method, config, thermometer),
        force=force,
        limits=limits,
        stream=stream,
        thermometer=thermometer,
        identity=_identity(config, system),
        force_spread=potential.force_spread,
        jax_model=potential.model if in_batches else None,
    )


def system_and_potential(loaded: LoadedConfig[RunConfig]) -> tuple[System, RunnablePotential]:
    """Return the atoms of an input and its potential on them; errors as in `set_up`."""
    config, folder = loaded.config, loaded.path.parent
    system = _load(config, folder)
    if config.system.masses_u is not None:
        system = with_masses(system, config.system.masses_u)
    return system, build_potential(config.potential, system, folder)


def _check_replicas(
    config: RunConfig, system: System, potential: RunnablePotential, integrator: AbstractIntegrator
) -> None:
    """Refuse replicas that cannot run together or would all be the same, and what needs them."""
    n, first = config.replicas, config.replica
    if n == 1:
        if config.threads is not None and not potential.shares_work(system):
            raise InputError(
                "`threads` has no effect without `replicas`, or a network in a cell",
                hint="remove it",
            )
        without = {
            "output.trajectories: separate": config.output.trajectories == "separate",
            "guards.on_failure: drop": config.guards.on_failure == "drop",
        }
        for key in (key for key, given in without.items() if given):
            raise InputError(f"`{key}` has no effect without `replicas`", hint="remove it")
        return
    if first + n > 2**32:
        raise InputError(
            f"`replicas: {n}` from `replica: {first}` on are too many: the last stream of a seed "
            f"is that of replica {2**32 - 1}",
            hint="begin at a lower `replica`, or use another `seed`",
        )
    if config.noise is not None:
        raise InputError(
            "`noise` is that of one trajectory at a time",
            hint="run one after the other in folders of their own: `qmd ensemble`",
        )
    if potential.model is None:
        raise InputError(
            f"`replicas: {n}` needs a potential that is compiled, but {potential.source.name} is "
            "a Python function",
            hint="run one after the other in folders of their own: `--set replica=1 --output 1`",
        )
    if not n * system.n_atoms <= MAX_BATCH_ATOMS:
        raise InputError(
            f"{n} replicas of {system.n_atoms} atoms are more than {MAX_BATCH_ATOMS} atoms",
            hint="run them in parts: `replica` is the index of the first one of a part",
        )
    if not integrator.is_random and not config.system.temperature_K:
        raise InputError(
            f"all {n} replicas would be the same: nothing random is in this input",
            hint="use `system.velocities: thermal` above 0 K, or a thermostat",
        )


def _load(config: RunConfig, folder: Path) -> System:
    structure = config.system.structure
    if isinstance(structure, BoxConfig):
        return load_box(Box(**structure.model_dump()), folder)
    return load_system(structure, folder, charged=True, periodic=True)


def _check_cell(config: RunConfig, system: System, potential: RunnablePotential) -> None:
    """Refuse what has no meaning in a periodic system, or is not computed there."""
    if not system.is_periodic:
        return
    without = {
        "confinement": config.confinement is not None,
        "noise": config.noise is not None,
        "system.remove_rotation": config.system.remove_rotation,
    }
    for key in (key for key, given in without.items() if given):
        raise InputError(
            f"`{key}` is for isolated molecules, but {system.name} is periodic", "remove it"
        )


def _sphere(n_atoms: int, config: ConfinementConfig) -> SphericalWall:
    return SphericalWall(n_atoms, config.radius_A, config.stiffness_eV_per_A3)


def _identity(config: RunConfig, system: System) -> str:
    exclude: dict[str, set[str] | bool] = {}
    for key in MAY_CHANGE_ON_RESUME:
        section, _, name = key.partition(".")
        exclude[section] = {name} if name else True
    settings = config.model_dump_json(exclude=exclude)
    digest = hashlib.sha256(settings.encode())
    cell = system.cell if system.is_periodic else None
    for array in (system.numbers, system.masses, system.positions, system.velocities, cell):
        digest.update(b"" if array is None else array.tobytes())
    return digest.hexdigest()


def _kT(config: Any) -> float | Ramp:
    temperature = config.temperature_K
    if isinstance(temperature, RampConfig):
        first, last = temperature.from_K * units.kB, temperature.to_K * units.kB
        return Ramp(first, last, temperature.steps)
    return float(temperature * units.kB)


def _dt(config: Any) -> float:
    return float(config.timestep_fs * units.fs)


INTEGRATORS: dict[str, tuple[str, Callable[[Any], tuple[Any, ...]]]] = {
    "velocity_verlet": ("verlet.VelocityVerlet", lambda c: (_dt(c),)),
    "langevin_baoab": (
        "langevin.LangevinBAOAB", lambda c: (_dt(c), _kT(c), c.friction_per_ps / units.ps)
    ),
    "velocity_rescaling": (
        "velocity_rescaling.VelocityRescaling",
        lambda c: (_dt(c), _kT(c), c.relaxation_time_fs * units.fs),
    ),
    "nose_hoover_chain": (
        "nose_hoover_chain.NoseHooverChain",
        lambda c: (_dt(c), _kT(c), c.relaxation_time_fs * units.fs, c.chain_length),
    ),
    "cell_rescaling": (
        "cell_rescaling.CellRescaling",
        lambda c: (
            _dt(c), _kT(c), c.relaxation_time_fs * units.fs, c.pressure_bar * units.bar,
            c.pressure_relaxation_time_fs * units.fs, c.compressibility_per_bar / units.bar,
            c.scaling == "anisotropic",
        ),
    ),
}  # fmt: skip
"""For each kind of `integrator` in an input: its class in `qmd.integrators.methods`, and the
arguments of the class, in internal units."""


def build_integrator(
    config: IntegratorConfig, noise: ShotNoiseConfig | None = None, model: Model | None = None
) -> AbstractIntegrator:
    """Integrator of the input, in internal units; with `noise`, on the circuits of `model`."""
    place, arguments = INTEGRATORS[config.kind]
    module, name = place.split(".")
    method = getattr(import_module(f"qmd.integrators.methods.{module}"), name)
    integrator: AbstractIntegrator = method(*arguments(config))
    if noise is None:
        return integrator
    from qmd.run.shot_noise import on_shots  # compiled when first needed

    return on_shots(integrator, noise, model)


def build_limits(config: RunConfig, domain: Domain, system: System) -> Limits:
    """Guards of every step: those of the input and the trained domain of the potential."""
    guards = config.guards
    limits = domain_limits(domain, system.symbols, system.is_periodic)
    if guards.on_leaving_domain == "warn":
        least = limits.least.copy()
        least[..., 1] = 0.0
        stop = np.tile([0.0, np.inf], (len(limits.pairs), 1))
        limits = limits._replace(stop=stop, least=least)
    return limits._replace(
        max_force=guards.max_force_eV_per_A,
        max_displacement=guards.max_displacement_A_per_step,
    )


def build_replicas(setup: RunSetup, threads: int) -> AbstractReplicas:
    """The loop that advances all replicas of a run, be it one."""
    integrator, seed = setup.integrator, setup.stream.seed
    inv_masses = inverse_masses(setup.config, setup.system)
    if setup.jax_model is None or setup.config.replicas == 1:
        return NativeReplicas(integrator, setup.force, inv_masses, seed, setup.limits, threads)
    from qmd.forces.jax_force import jax_batch_force

    start = np.repeat(setup.system.positions[None], setup.config.replicas, axis=0)
    function = jax_batch_force(setup.jax_model, start, setup.stream.replica)
    return BatchedReplicas(integrator, function, inv_masses, seed, setup.limits, threads)
