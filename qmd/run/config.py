"""The input of a run: a strict, frozen schema; `qmd.inputs` reads files into it.

Units stand in the key names and stay the user's (fs, K, 1/ps); `qmd.system` and `qmd.build`
convert. Unknown keys, numbers given as text, true/false given as numbers, non-finite and
out-of-range values are errors, never guesses.
"""

import re
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)

MAY_CHANGE_ON_RESUME = ("steps", "wall_time_h", "output", "threads", "guards.on_failure")
"""Keys, or sections, that do not change the trajectory of a run that is continued."""


def _integral(value: object) -> object:
    """``1e6`` is a count; above 2**53 a float no longer says which integer was meant."""
    if isinstance(value, float) and value.is_integer() and abs(value) <= 2**53:
        return int(value)
    return value


def _hours(value: object) -> object:
    """Hours of a duration such as ``1:30:00``, which YAML 1.1 reads as the number 5400."""
    if isinstance(value, str) and re.fullmatch(_DURATION, value):
        hours, minutes, seconds = map(int, value.split(":"))
        return hours + minutes / 60 + seconds / 3600
    return value


def as_package(value: object) -> object:
    """Bare text where a potential stands is the name of a package."""
    return {"kind": "package", "name": value} if isinstance(value, str) else value


MAX_REPLICAS = 100_000
"""Each costs memory, and a place in every checkpoint."""
_DURATION = "^[0-9]{1,6}:[0-5][0-9]:[0-5][0-9]$"
Name = Annotated[str, Field(min_length=1, max_length=4096)]
Count = Annotated[int, Field(ge=1, le=10**12), BeforeValidator(_integral)]
Seed = Annotated[int, Field(ge=0, lt=2**63), BeforeValidator(_integral)]
Timestep = Annotated[float, Field(gt=0, le=20)]
Temperature = Annotated[float, Field(gt=0, le=100_000)]
Hours = Annotated[float, Field(gt=0, le=10_000)]
Positive = Annotated[float, Field(gt=0, le=1_000_000)]
Charge = Annotated[float, Field(ge=-1000, le=1000)]
Weight = Annotated[float, Field(ge=-1_000_000, le=1_000_000)]
AtomIndex = Annotated[int, Field(ge=0, le=999)]
AtomPair = Annotated[list[AtomIndex], Field(min_length=2, max_length=2)]
AtomTriple = Annotated[list[AtomIndex], Field(min_length=3, max_length=3)]
Molecule = Annotated[list[AtomIndex], Field(min_length=1, max_length=1000)]
WallTime = Annotated[
    Hours,
    BeforeValidator(
        _hours, json_schema_input_type=Hours | Annotated[str, Field(pattern=_DURATION)]
    ),
]


class Config(BaseModel):
    """Base of all input sections: frozen, strict, no unknown keys, finite numbers."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        validate_default=True,
        field_title_generator=lambda name, _: name,
    )


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


class PackageConfig(Config):
    """A potential by its name."""

    kind: Literal["package"]
    """A package (.qmdp), or what a name stands for."""
    name: Name
    """A name of `qmd potential list`, or the path of a .qmdp file relative to this file."""
    backend: Literal["native", "jax"] = "native"
    """Compiled kernel, or the JAX function."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    """Refuse the potential if its SHA-256 is another one."""


class DFTConfig(Config):
    """Born-Oppenheimer dynamics: restricted Kohn-Sham with density fitting, by PySCF."""

    kind: Literal["dft"]
    """Kohn-Sham by PySCF; a step of dynamics begins from the densities of those before."""
    functional: Name = "rpbe,pbe"
    """PySCF name of exchange and correlation."""
    basis: Name = "def2-tzvpd"
    """PySCF name of the basis; weakly bound molecules need diffuse functions."""
    dispersion: Name | None = "rpbe"
    """Functional whose D3(0) dispersion is added; null: none."""
    grid_level: Annotated[int, Field(ge=0, le=9)] = 3
    """PySCF's integration grid."""
    convergence_Ha: Annotated[float, Field(gt=0, le=1e-4)] = 1e-10
    """Change of the energy (hartree) at which a calculation has converged."""


class FCIConfig(Config):
    """Born-Oppenheimer dynamics on the exact ground state in a small basis, by PySCF."""

    kind: Literal["fci"]
    """Full configuration interaction, for a few electrons and orbitals."""
    basis: Name = "sto-3g"
    """PySCF name of the basis."""


class ASEConfig(Config):
    """Dynamics by any ASE calculator that is installed."""

    kind: Literal["ase"]
    """An ASE calculator."""
    calculator: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$")]
    """Its class with its module, such as tblite.ase.TBLite."""
    arguments: dict[str, str | int | float | bool | None] = {}
    """Its keyword arguments, such as {method: GFN2-xTB}."""


class MorseConfig(Config):
    """Morse bonds, depth (1 - exp(-steepness (r - length)))^2 each."""

    kind: Literal["morse"]
    """Morse bonds."""
    bonds: Annotated[list[AtomPair], Field(min_length=1, max_length=100_000)]
    """Pairs of atoms, counted from 0."""
    depth_eV: Positive
    """Energy (eV) that breaks a bond."""
    steepness_per_A: Positive
    """Inverse width (1/angstrom); the force constant is 2 depth steepness^2."""
    length_A: Positive
    """Length (angstrom) at the minimum."""


class HarmonicBondConfig(Config):
    """Harmonic bonds, stiffness/2 (r - length)^2 each."""

    kind: Literal["harmonic_bond"]
    """Harmonic bonds."""
    bonds: Annotated[list[AtomPair], Field(min_length=1, max_length=100_000)]
    """Pairs of atoms, counted from 0."""
    stiffness_eV_per_A2: Positive
    """Force constant (eV/angstrom^2)."""
    length_A: Positive
    """Length (angstrom) at the minimum."""


class HarmonicAngleConfig(Config):
    """Harmonic bends, stiffness/2 (theta - angle)^2 each."""

    kind: Literal["harmonic_angle"]
    """Harmonic bends."""
    angles: Annotated[list[AtomTriple], Field(min_length=1, max_length=100_000)]
    """Triples of atoms, counted from 0, the vertex in the middle."""
    stiffness_eV_per_rad2: Positive
    """Force constant (eV/rad^2)."""
    angle_deg: Annotated[float, Field(gt=0, lt=180)]
    """Angle (degrees) at the minimum."""


class LennardJonesConfig(Config):
    """Lennard-Jones, 4 epsilon ((sigma/r)^12 - (sigma/r)^6) for each pair of the atoms."""

    kind: Literal["lennard_jones"]
    """Lennard-Jones between atoms."""
    atoms: Annotated[list[AtomIndex], Field(min_length=2, max_length=1000)] | None = None
    """Atoms that act on each other, counted from 0; default: all."""
    epsilon_eV: Positive
    """Depth (eV) of the minimum."""
    sigma_A: Positive
    """Distance (angstrom) of no energy."""


class PointChargesConfig(Config):
    """Coulomb's law between the atoms of different molecules."""

    kind: Literal["point_charges"]
    """Point charges."""
    charges_e: Annotated[list[Charge], Field(min_length=2, max_length=1000)]
    """Charge (e) of each atom, in order."""
    molecules: Annotated[list[Molecule], Field(min_length=2, max_length=1000)] | None = None
    """Atoms of each molecule, counted from 0, whose charges do not see each other; default: each
    atom by itself."""


class SumConfig(Config):
    """Potentials of the same atoms, added up."""

    kind: Literal["sum"]
    """A sum; compiled as one if every term is."""
    terms: Annotated[list["Potential"], Field(min_length=1, max_length=100)]
    """Potentials, each a name or a mapping."""
    weights: Annotated[list[Weight], Field(min_length=1, max_length=100)] | None = None
    """Factor of each term; default: 1."""

    @field_validator("weights")
    @classmethod
    def _one_for_each_term(cls, value: object, info: ValidationInfo) -> object:
        terms = info.data.get("terms")
        if isinstance(value, list) and terms is not None and len(value) != len(terms):
            raise ValueError(f"has {len(value)} numbers for {len(terms)} terms; give one for each")
        return value


class CommitteeConfig(Config):
    """The mean of potentials; the spread of their forces tells how far to trust it."""

    kind: Literal["committee"]
    """A committee; log.csv gets the column force_spread_eV_per_A."""
    members: Annotated[list["Potential"], Field(min_length=2, max_length=100)]
    """Potentials, each a name or a mapping."""


ReferenceConfig = DFTConfig | FCIConfig | ASEConfig
ClassicalConfig = (
    MorseConfig | HarmonicBondConfig | HarmonicAngleConfig | LennardJonesConfig | PointChargesConfig
)
PotentialConfig = PackageConfig | ReferenceConfig | ClassicalConfig | SumConfig | CommitteeConfig
Potential = Annotated[
    Annotated[PotentialConfig, Field(discriminator="kind")],
    BeforeValidator(as_package, json_schema_input_type=Name | PotentialConfig),
]
"""Where a potential stands: a name, or a mapping with its kind."""
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

    shots: Annotated[int, Field(ge=1, le=10**12), BeforeValidator(_integral)]
    """Repetitions of each circuit: of every quarter turn, in each of three settings."""
    compensate: bool = True
    """Let the bath give less by what the noise gives; false: a temperature that is too high."""


class OutputConfig(Config):
    """How often results are written."""

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
    """What to do beyond the stop level of the trained domain."""
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
    replica: Annotated[int, Field(ge=0, lt=2**32), BeforeValidator(_integral)] = 0
    """Which stream of the seed, from 0 to 2**32 - 1; with replicas that of the first."""
    replicas: Annotated[int, Field(ge=1, le=MAX_REPLICAS), BeforeValidator(_integral)] = 1
    """Copies of the system to run together, each with the stream of its own."""
    threads: Annotated[int, Field(ge=1, le=1024), BeforeValidator(_integral)] | None = None
    """Threads that share the replicas; default: one for each core that the process may use."""
    output: OutputConfig = OutputConfig()
    """How often results are written."""
    guards: GuardsConfig = GuardsConfig()
    """When the run stops itself."""
    wall_time_h: WallTime | None = None
    """Stop in good time before this many hours, resumable; also h:mm:ss."""

    @field_validator("noise")
    @classmethod
    def _needs_circuits_and_a_bath(
        cls, value: ShotNoiseConfig | None, info: ValidationInfo
    ) -> ShotNoiseConfig | None:
        if value is None:
            return value
        if isinstance(info.data.get("integrator"), VelocityVerletConfig):
            raise ValueError(
                "needs a bath: with `velocity_verlet` every step adds energy, without end; "
                "use `langevin_baoab`, whose friction takes it out again"
            )
        potential = info.data.get("potential")
        if isinstance(potential, DFTConfig | FCIConfig | ASEConfig):
            raise ValueError(
                f"is that of circuits, and a potential of kind {potential.kind} has none"
            )
        if isinstance(potential, PackageConfig) and potential.backend != "native":
            raise ValueError("needs `potential.backend: native`, which knows the variances")
        return value
