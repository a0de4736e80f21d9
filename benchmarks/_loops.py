"""Four loops that make the same trajectory of one molecule with the same trained model.

Each is an object that steps on from where it stands: what is timed is the steady state, without
compilation, set-up or first force.
"""

from pathlib import Path
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.md.verlet import VelocityVerlet as ASEVelocityVerlet

from qmd import units
from qmd.errors import NumericalError
from qmd.forces.catalogue import load_package
from qmd.forces.runnable import build_force
from qmd.integrators import (
    VELOCITIES,
    Force,
    Limits,
    Status,
    Stream,
    VelocityVerlet,
    gaussian,
    initial_state,
    kinetic_energy,
    raise_pending,
)
from qmd.io.structure import load_system
from qmd.potentials import Package, compiled
from qmd.run.config import RunConfig
from qmd.run.setup import build_limits
from qmd.run.velocities import start_velocities
from qmd.system.system import System, check_species


class Start(NamedTuple):
    """Start of all loops, in internal units."""

    package: Package
    system: System
    velocities: np.ndarray
    limits: Limits
    dt: float


class End(NamedTuple):
    """State of a loop: positions (angstrom) and total energy (eV)."""

    positions: np.ndarray
    total_energy: float


class Loop(Protocol):
    """A trajectory that goes on from call to call."""

    def advance(self, n_steps: int) -> None:
        """Make `n_steps` steps of velocity Verlet."""

    def end(self) -> End:
        """Return the state of the loop."""


def thermal_start(potential: str, structure: str) -> Start:
    """A start at 300 K, with the guards of a run, which both Numba loops check."""
    config = RunConfig.model_validate(
        {
            "system": {"structure": structure, "temperature_K": 300.0, "exact_temperature": True},
            "potential": potential,
            "integrator": {"kind": "velocity_verlet", "timestep_fs": 0.5},
            "steps": 1,
            "guards": {"on_leaving_domain": "warn"},  # checked all the same, at the same cost
        }
    )
    package, system = load_package(potential, Path()), load_system(structure, Path())
    check_species(system, package.species)
    normals = np.empty_like(system.positions)
    gaussian(normals, Stream(config.seed), 0, VELOCITIES)
    velocities = start_velocities(system, config.system, normals)
    # jax-md rounds the time step to float32, which shifts the phase by 1e-8 angstrom in 100 fs:
    # all loops take the rounded one, 0.5 fs to seven digits.
    dt = float(np.float32(config.integrator.timestep_fs * units.fs))
    return Start(package, system, velocities, build_limits(config, package.domain, system), dt)


class NumbaLoop:
    """The loop of `qmd run`, with either of its forces."""

    def __init__(self, start: Start, backend: str) -> None:
        self._force: Force = build_force(start.package.model, backend)
        self._method, self._limits = VelocityVerlet(start.dt), start.limits
        self._masses = start.system.masses
        self._state = initial_state(self._force, start.system.positions, start.velocities)

    def advance(self, n_steps: int) -> None:
        self._state, status, _ = self._method.advance(
            self._state, self._force, 1 / self._masses, Stream(0), self._limits, n_steps
        )
        if status != Status.OK:
            raise_pending(self._force)
            raise NumericalError(
                f"A guard stopped the loop at step {self._state.step}: {Status(status).name}",
                hint="the potential is not stable at 300 K; choose another one",
            )

    def end(self) -> End:
        kinetic = kinetic_energy(self._state.velocities, self._masses)
        return End(self._state.positions, self._state.energy + kinetic)


class ASELoop:
    """`ase.md.verlet.VelocityVerlet` with a calculator around the jitted JAX function."""

    def __init__(self, start: Start) -> None:
        system = start.system
        self._atoms = Atoms(
            system.symbols, system.positions, masses=system.masses, velocities=start.velocities
        )
        self._atoms.calc = JaxCalculator(start.package)
        self._dynamics = ASEVelocityVerlet(self._atoms, timestep=start.dt)

    def advance(self, n_steps: int) -> None:
        self._dynamics.run(n_steps)

    def end(self) -> End:
        return End(self._atoms.get_positions(), self._atoms.get_total_energy())


class JaxCalculator(Calculator):
    """The JAX function of a package as an ASE calculator, with no more than ASE asks for."""

    implemented_properties = ["energy", "forces"]

    def __init__(self, package: Package) -> None:
        super().__init__()
        self._function = compiled(package.potential())

    def calculate(
        self,
        atoms: Any = None,
        properties: Any = ("energy",),
        system_changes: Any = all_changes,
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        energy, forces = self._function(self.atoms.positions)
        self.results = {"energy": float(energy), "forces": np.asarray(forces)}


class JaxMDLoop:
    """`jax_md.simulate.nve` in free space, all steps of a call in one compiled `fori_loop`.

    Raises
    ------
    ImportError
        If jax-md is not installed.
    """

    def __init__(self, start: Start) -> None:
        from jax_md import simulate, space

        potential, (_, shift) = start.package.potential(), space.free()
        self._energy = jax.jit(lambda positions: potential.energy(positions))
        init, apply = simulate.nve(self._energy, shift, dt=start.dt)
        masses = start.system.masses
        self._state = init(
            jax.random.PRNGKey(0), jnp.asarray(start.system.positions), kT=0.0,
            mass=jnp.asarray(masses), momenta=jnp.asarray(masses[:, None] * start.velocities),
        )  # fmt: skip
        self._run = jax.jit(
            lambda state, n_steps: jax.lax.fori_loop(0, n_steps, lambda _, s: apply(s), state)
        )

    def advance(self, n_steps: int) -> None:
        self._state = jax.block_until_ready(self._run(self._state, n_steps))

    def end(self) -> End:
        momenta, masses = np.asarray(self._state.momentum), np.asarray(self._state.mass)
        kinetic = float((momenta**2 / (2 * masses)).sum())
        positions = np.asarray(self._state.position)
        return End(positions, float(self._energy(positions)) + kinetic)
