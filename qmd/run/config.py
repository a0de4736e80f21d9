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
    Field,
    ValidationInfo,
    field_validator,
)

from qmd.config.base import (
    Config,
    Count,
    Name,
    Seed,
    Temperature,
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

MAY_CHANGE_ON_RESUME = ("steps", "wall_time_h", "output", "threads", "guards.on_failure")
"""Keys, or sections, that do not change the trajectory of a run that is continued."""


MAX_REPLICAS = 100_000
"""Each costs memory, and a place in every checkpoint."""


class SystemConfig(Config):
    """The molecule and its first velocities."""

    structure: Name
    """Built-in name (h2o, lih, h2o-dimer) or a structure file, relative to this file."""
    velocities: Literal["thermal", "file", "zero"] = "thermal"
    """Maxwell-Boltzmann at temperature_K, those of the structure file, or none."""
    temperature_K: Annotated[float, Field(ge=0, le=100_000)] | None = Field(
        None, validate_default=True
    )
    """Temperature (K) of the thermal start."""
    exact_temperature: bool = False
    """Rescale the thermal start to exactly temperature_K."""
    remove_rotation: bool = False
    """Remove the overall rotation of the thermal start; translation is always removed."""

    @field_validator("temperature_K", "exact_temperature", "remove_rotation")
    @classmethod
    def _belongs_to_thermal(cls, value: object, info: ValidationInfo) -> object:
        velocities = info.data.get("velocities", "thermal")
        if velocities != "thermal" and value is not None and value is not False:
            raise ValueError(f"has no effect with `velocities: {velocities}`; remove it")
        if velocities == "thermal" and value is None:
            raise ValueError("is needed for the thermal start (`velocities: thermal`)")
        return value


SumConfig.model_rebuild()
CommitteeConfig.model_rebuild()


class VelocityVerletConfig(Config):
    """Constant energy."""

    kind: Literal["velocity_verlet"]
    """The method."""
    timestep_fs: Timestep
    """Time step (fs); with O-H bonds 0.5 is usual, and above 2.8 no step is stable."""


class LangevinConfig(Config):
    """Constant temperature."""

    kind: Literal["langevin_baoab"]
    """The method."""
    timestep_fs: Timestep
    """Time step (fs)."""
    temperature_K: Temperature
    """Temperature (K) of the bath."""
    friction_per_ps: Annotated[float, Field(gt=0, le=1_000_000)] = 1.0
    """Coupling to the bath (1/ps), not a property of the molecule."""


class ConfinementConfig(Config):
    """A sphere about the origin that keeps the molecules together."""

    radius_A: Annotated[float, Field(gt=0, le=1_000_000)]
    """Distance (angstrom) from the origin beyond which an atom is pushed back."""
    stiffness_eV_per_A3: Annotated[float, Field(gt=0, le=1_000_000)] = 1.0
    """Its energy is stiffness times the cube of the distance beyond the radius."""


class ShotNoiseConfig(Config):
    """Forces as a quantum computer would give them."""

    shots: Annotated[int, Field(ge=1, le=10**12), BeforeValidator(integral)]
    """Repetitions of each circuit: of every quarter turn, in each of three settings."""
    compensate: bool = True
    """Let the bath give less by what the noise gives; false: a temperature that is too high."""


class OutputConfig(Config):
    """Steps between results."""

    trajectory_every: Count = 100
    """Steps between frames of trajectory.nc."""
    log_every: Count = 100
    """Steps between rows of log.csv."""
    checkpoint_every: Count = 10_000
    """Steps between checkpoints, of which at most one a second is written."""
    trajectories: Literal["together", "separate"] = "together"
    """With replicas: all in trajectory.nc, or trajectory-0000.nc and so on, one file each."""


class GuardsConfig(Config):
    """When a run stops itself, with exit code 4."""

    max_force_eV_per_A: Annotated[float, Field(gt=0, le=1_000_000)] = 50.0
    """Largest force (eV/angstrom) on an atom."""
    max_displacement_A_per_step: Annotated[float, Field(gt=0, le=10)] = 0.1
    """Largest displacement (angstrom) of an atom in one step."""
    on_leaving_domain: Literal["stop", "warn"] = "stop"
    """Answer to a geometry beyond the stop level of the trained domain."""
    on_failure: Literal["stop", "drop"] = "stop"
    """With replicas: a guard stops them all, or drops the one that failed, on record."""


IntegratorConfig = VelocityVerletConfig | LangevinConfig


class RunConfig(Config):
    """The input of `qmd run`."""

    system: SystemConfig
    """The molecule and its first velocities."""
    potential: Potential
    """Name or .qmdp path of a potential, or a mapping with more settings."""
    integrator: Annotated[IntegratorConfig, Field(discriminator="kind")]
    """The method of integration."""
    confinement: ConfinementConfig | None = None
    """A sphere that keeps the molecules together; default: none."""
    noise: ShotNoiseConfig | None = None
    """Finite shots, of circuits on the native kernel under a bath; default: exact forces."""
    steps: Count
    """Total number of steps: running the same input again continues to it."""
    seed: Seed = 1
    """Seed of the start velocities, of the bath and of the shots."""
    replica: Annotated[int, Field(ge=0, lt=2**32), BeforeValidator(integral)] = 0
    """Which stream of the seed, from 0 to 2**32 - 1; with replicas that of the first."""
    replicas: Annotated[int, Field(ge=1, le=MAX_REPLICAS), BeforeValidator(integral)] = 1
    """Copies of the system to run together, each with the stream of its own."""
    threads: Annotated[int, Field(ge=1, le=1024), BeforeValidator(integral)] | None = None
    """Threads that share the replicas; default: one for each core that the process may use."""
    output: OutputConfig = OutputConfig()
    """Steps between results."""
    guards: GuardsConfig = GuardsConfig()
    """When the run stops itself."""
    wall_time_h: WallTime | None = None
    """Stop in good time before this many hours, resumable; also h:mm:ss."""

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
