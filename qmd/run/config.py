"""The input of a run: a strict, frozen schema; `qmd.config.load` reads files into it.

Units stand in the key names and stay the user's (fs, K, 1/ps); `qmd.run.setup` and `qmd.run.start`
convert. Unknown keys, numbers given as text, true/false given as numbers, non-finite and
out-of-range values are errors, never guesses.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    field_validator,
)

from qmd.config.base import (
    Config,
    Count,
    Name,
    Seed,
    TemperatureOrRamp,
    Timestep,
    WallTime,
    integral,
)
from qmd.config.load import LoadedConfig, load
from qmd.forces.config import (
    ASEConfig,
    CommitteeConfig,
    DFTConfig,
    FCIConfig,
    PackageConfig,
    Potential,
    SumConfig,
)
from qmd.system.isotopes import HEAVIEST_U, LIGHTEST_U, check_masses

MAY_CHANGE_ON_RESUME = ("steps", "wall_time_h", "output", "threads", "guards.on_failure")
"""Keys, or sections, that do not change the trajectory of a run that is continued."""


MAX_REPLICAS = 100_000
"""Each costs memory, and a place in every checkpoint."""


Mass = Annotated[float, Field(ge=LIGHTEST_U, le=HEAVIEST_U)]


AtomIndex = Annotated[int, Field(ge=0, lt=10**6), BeforeValidator(integral)]


RelaxationTime = Annotated[float, Field(gt=0, le=1_000_000)]


class BoxConfig(Config):
    """Cubic box of equal molecules, as {molecule: h2o, count: 64, density_g_per_cm3: 0.997}."""

    molecule: Name
    """Built-in name, symbol of an element, or structure file with one molecule."""
    count: Annotated[int, Field(ge=1, le=99_999), BeforeValidator(integral)]
    """Number of molecules."""
    density_g_per_cm3: Annotated[float, Field(gt=0, le=100)]
    """Density (g/cm^3), from which the edge of the box follows."""
    seed: Seed = 1
    """Seed of places and orientations."""
    placement: Literal["lattice", "packmol"] = "lattice"
    """Placement of the molecules: on the sites of a cubic lattice, turned at random, or by the
    program packmol, if it is installed."""


class SystemConfig(Config):
    """Molecule and initial velocities."""

    structure: Annotated[
        Annotated[Name, Tag("<text>")] | Annotated[BoxConfig, Tag("<box>")],
        Discriminator(lambda value: "<box>" if isinstance(value, (dict, BoxConfig)) else "<text>"),
    ]
    """Built-in name (h2o, lih, h2o-dimer, water-64, argon-108), a structure file, relative to this
    file, such as water.xyz or a row of an ASE database, water.db@id=3, or a box of molecules."""
    velocities: Literal["thermal", "file", "zero"] = "thermal"
    """Initial velocities: Maxwell-Boltzmann at temperature_K, those of the structure file, or
    zero."""
    temperature_K: Annotated[float, Field(ge=0, le=100_000)] | None = Field(
        None, validate_default=True
    )
    """Temperature of thermal velocities (K)."""
    exact_temperature: bool = False
    """If true, rescale thermal velocities to exactly temperature_K."""
    remove_rotation: bool = False
    """If true, remove the overall rotation of thermal velocities; translation is always removed."""
    masses_u: list[Mass] | dict[str, Mass] | None = None
    """Masses (u) of the atoms in their order, or by symbol such as {H: 2.014}; default: those of
    the structure file, or else of the elements."""
    fixed: list[AtomIndex] | None = None
    """Indices of atoms, from 0, that never move; default: all atoms move."""

    @field_validator("masses_u", mode="before")
    @classmethod
    def _are_masses(cls, value: object) -> object:
        if value is not None:
            check_masses(value)
        return value

    @field_validator("temperature_K", "exact_temperature", "remove_rotation")
    @classmethod
    def _belongs_to_thermal(cls, value: object, info: ValidationInfo) -> object:
        velocities = info.data.get("velocities", "thermal")
        if velocities != "thermal" and value is not None and value is not False:
            raise ValueError(f"has no effect with `velocities: {velocities}`; remove it")
        if velocities == "thermal" and value is None:
            raise ValueError("is needed for the thermal start (`velocities: thermal`)")
        return value

    @field_validator("fixed")
    @classmethod
    def _are_atoms(cls, value: list[int] | None, info: ValidationInfo) -> list[int] | None:
        if value is None:
            return value
        if not value or len(set(value)) < len(value):
            raise ValueError("must name each fixed atom once, and one atom at least")
        if info.data.get("remove_rotation"):
            raise ValueError("has no overall rotation to remove; remove `remove_rotation`")
        return value


SumConfig.model_rebuild()
CommitteeConfig.model_rebuild()


class VelocityVerletConfig(Config):
    """Dynamics at constant energy."""

    kind: Literal["velocity_verlet"]
    """Velocity Verlet."""
    timestep_fs: Timestep
    """Time step (fs); with O-H bonds 0.5 is usual, and steps above 2.8 are unstable."""
    remove_drift_every: Count | None = None
    """Number of steps after which the velocity of the centre of mass is set to zero; default:
    never."""


class LangevinConfig(Config):
    """Dynamics at constant temperature."""

    kind: Literal["langevin_baoab"]
    """Langevin dynamics in the BAOAB splitting."""
    timestep_fs: Timestep
    """Time step (fs)."""
    temperature_K: TemperatureOrRamp
    """Temperature of the thermostat (K), or a ramp, {from_K: 300, to_K: 500, steps: 10000}."""
    friction_per_ps: Annotated[float, Field(gt=0, le=1_000_000)] = 1.0
    """Friction of the thermostat (1/ps), not a property of the molecule."""
    remove_drift_every: Count | None = None
    """Number of steps after which the velocity of the centre of mass is set to zero; default:
    never."""


class VelocityRescalingConfig(Config):
    """Dynamics at constant temperature, with dynamics that the thermostat hardly changes."""

    kind: Literal["velocity_rescaling"]
    """Stochastic velocity rescaling (Bussi, Donadio and Parrinello)."""
    timestep_fs: Timestep
    """Time step (fs)."""
    temperature_K: TemperatureOrRamp
    """Temperature of the thermostat (K), or a ramp, {from_K: 300, to_K: 500, steps: 10000}."""
    relaxation_time_fs: RelaxationTime = 100.0
    """Time (fs) in which the kinetic energy forgets its value."""
    remove_drift_every: Count | None = None
    """Number of steps after which the velocity of the centre of mass is set to zero; default:
    never."""


class NoseHooverChainConfig(Config):
    """Dynamics at constant temperature without random numbers."""

    kind: Literal["nose_hoover_chain"]
    """Chain of Nose-Hoover thermostats (Martyna, Tuckerman and others)."""
    timestep_fs: Timestep
    """Time step (fs)."""
    temperature_K: TemperatureOrRamp
    """Temperature of the thermostat (K), or a ramp, {from_K: 300, to_K: 500, steps: 10000}."""
    relaxation_time_fs: RelaxationTime = 100.0
    """Time tau (fs) of the chain, whose masses are kT tau^2; well above the time step."""
    chain_length: Annotated[int, Field(ge=1, le=20), BeforeValidator(integral)] = 3
    """Number of thermostats in the chain."""
    remove_drift_every: Count | None = None
    """Number of steps after which the velocity of the centre of mass is set to zero; default:
    never."""


class CellRescalingConfig(Config):
    """Dynamics at constant temperature and pressure, in a cell that is periodic in all directions.

    The thermostat is that of `velocity_rescaling`.
    """

    kind: Literal["cell_rescaling"]
    """Stochastic cell rescaling (Bernetti and Bussi)."""
    timestep_fs: Timestep
    """Time step (fs)."""
    temperature_K: TemperatureOrRamp
    """Temperature of the thermostat (K), or a ramp, {from_K: 300, to_K: 500, steps: 10000}."""
    relaxation_time_fs: RelaxationTime = 100.0
    """Time (fs) in which the kinetic energy forgets its value."""
    pressure_bar: Annotated[float, Field(ge=-10_000_000, le=10_000_000)]
    """Pressure (bar) of the barostat."""
    pressure_relaxation_time_fs: RelaxationTime = 1000.0
    """Time (fs) in which the volume forgets its value, if the compressibility is right."""
    compressibility_per_bar: Annotated[float, Field(gt=0, le=1_000)] = 4.5e-5
    """Compressibility (1/bar) of the system; default: that of water. It need not be accurate."""
    scaling: Literal["isotropic", "anisotropic"] = "isotropic"
    """Change of the cell: of its volume only, or of all lengths and angles."""
    remove_drift_every: Count | None = None
    """Number of steps after which the velocity of the centre of mass is set to zero; default:
    never."""


class ConfinementConfig(Config):
    """Sphere about the origin that keeps the molecules together."""

    radius_A: Annotated[float, Field(gt=0, le=1_000_000)]
    """Distance from the origin beyond which an atom is pushed back (angstrom)."""
    stiffness_eV_per_A3: Annotated[float, Field(gt=0, le=1_000_000)] = 1.0
    """Stiffness of the wall (eV/angstrom^3): its energy is the stiffness times the cube of the
    distance beyond the radius."""


class ShotNoiseConfig(Config):
    """Forces with the shot noise of a quantum computer."""

    shots: Annotated[int, Field(ge=1, le=10**12), BeforeValidator(integral)]
    """Number of repetitions of each circuit: of every quarter turn, in each of three settings."""
    compensate: bool = True
    """Reduce the thermostat noise by the heating of the shot noise. If false, the temperature comes
    out too high."""


class OutputConfig(Config):
    """Intervals at which results are written."""

    trajectory_every: Count = 100
    """Number of steps between frames of trajectory.nc."""
    log_every: Count = 100
    """Number of steps between rows of log.csv."""
    checkpoint_every: Count = 10_000
    """Number of steps between checkpoints, of which at most one per second is written."""
    trajectories: Literal["together", "separate"] = "together"
    """Files of replicas: one trajectory.nc for all (`together`), or one file for each replica,
    trajectory-0000.nc and so on (`separate`)."""


class GuardsConfig(Config):
    """Limits beyond which a run stops itself, with exit code 4."""

    max_force_eV_per_A: Annotated[float, Field(gt=0, le=1_000_000)] = 50.0
    """Largest force on an atom (eV/angstrom)."""
    max_displacement_A_per_step: Annotated[float, Field(gt=0, le=10)] = 0.1
    """Largest displacement of an atom in one step (angstrom)."""
    on_leaving_domain: Literal["stop", "warn"] = "stop"
    """Action beyond the stop level of the trained domain."""
    on_failure: Literal["stop", "drop"] = "stop"
    """Action of a guard in a run of replicas: stop all of them, or drop and record the one that
    failed."""


IntegratorConfig = (
    VelocityVerletConfig
    | LangevinConfig
    | VelocityRescalingConfig
    | NoseHooverChainConfig
    | CellRescalingConfig
)


class RunConfig(Config):
    """The input of `qmd run`."""

    system: SystemConfig
    """Molecule and initial velocities."""
    potential: Potential
    """Potential: a name, a .qmdp path, or a mapping with more settings."""
    integrator: Annotated[IntegratorConfig, Field(discriminator="kind")]
    """Integrator."""
    confinement: ConfinementConfig | None = None
    """Sphere that keeps the molecules together; default: none."""
    noise: ShotNoiseConfig | None = None
    """Finite shots, for circuits on the native kernel with a thermostat; default: exact forces."""
    steps: Count
    """Total number of steps; the same command resumes a stopped run up to it."""
    seed: Seed = 1
    """Seed of initial velocities, thermostat noise and shots."""
    replica: Annotated[int, Field(ge=0, lt=2**32), BeforeValidator(integral)] = 0
    """Index of the noise stream, from 0 to 2**32 - 1; with replicas, that of the first."""
    replicas: Annotated[int, Field(ge=1, le=MAX_REPLICAS), BeforeValidator(integral)] = 1
    """Number of copies of the system, each with a noise stream of its own."""
    threads: Annotated[int, Field(ge=1, le=1024), BeforeValidator(integral)] | None = None
    """Number of threads that share the replicas, or the atoms of a single trajectory on networks in
    a cell; no result depends on it. Default: for replicas the cores available to the process,
    otherwise 1."""
    output: OutputConfig = OutputConfig()
    """Intervals at which results are written."""
    guards: GuardsConfig = GuardsConfig()
    """Limits beyond which the run stops itself."""
    wall_time_h: WallTime | None = None
    """Time limit, in hours or as h:mm:ss, before which the run stops so that it can be resumed."""

    @field_validator("noise")
    @classmethod
    def _needs_circuits(
        cls, value: ShotNoiseConfig | None, info: ValidationInfo
    ) -> ShotNoiseConfig | None:
        if value is None:
            return value
        potential = info.data.get("potential")
        if isinstance(potential, DFTConfig | FCIConfig | ASEConfig):
            raise ValueError(
                f"is that of circuits, and a potential of kind {potential.kind} has none"
            )
        if isinstance(potential, PackageConfig) and potential.backend != "native":
            raise ValueError("needs `potential.backend: native`, which knows the variances")
        return value


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> LoadedConfig[RunConfig]:
    """Read the input of a run.

    Parameters
    ----------
    path : str or Path
        A regular file.
    overrides : sequence of str
        ``key.path=value`` each, checked like the lines of the file.

    Raises
    ------
    InputError
        One line: file, line, key path, what was expected and what came.
    """
    return load(path, RunConfig, overrides)
