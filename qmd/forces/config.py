"""The section `potential` of an input: names, reference methods, classical terms, sums."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from qmd.config.base import Config, Name, as_package, integral
from qmd.forces.classical import (
    HarmonicAngleConfig,
    HarmonicBondConfig,
    LennardJonesConfig,
    MorseConfig,
    PointChargesConfig,
)

Weight = Annotated[float, Field(ge=-1_000_000, le=1_000_000)]


class PackageConfig(Config):
    """Potential by name."""

    kind: Literal["package"]
    """Package (.qmdp), or another potential with a name."""
    name: Name
    """Name from `qmd potential list`, or path of a .qmdp file relative to this file."""
    backend: Literal["native", "jax"] = "native"
    """Interpreter: the compiled kernel, or the JAX function."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    """SHA-256 that the potential must have; any other potential is refused."""


Charge = Annotated[int, Field(ge=-1000, le=1000), BeforeValidator(integral)]


Multiplicity = Annotated[int, Field(ge=1, le=1000), BeforeValidator(integral)]


class DFTConfig(Config):
    """Born-Oppenheimer dynamics with Kohn-Sham DFT and density fitting, by PySCF."""

    kind: Literal["dft"]
    """Kohn-Sham DFT by PySCF; each step of dynamics starts from the densities of earlier steps."""
    functional: Name = "rpbe,pbe"
    """PySCF name of exchange and correlation."""
    basis: Name = "def2-tzvpd"
    """PySCF name of the basis; weakly bound molecules need diffuse functions."""
    dispersion: Name | None = "rpbe"
    """Functional whose D3(0) dispersion correction is added; null: no correction."""
    grid_level: Annotated[int, Field(ge=0, le=9)] = 3
    """Level of PySCF's integration grid."""
    convergence_Ha: Annotated[float, Field(gt=0, le=1e-4)] = 1e-10
    """Change of the energy (hartree) at which a calculation has converged."""
    charge: Charge | None = None
    """Total charge (e); default: that of the structure file, or else 0."""
    multiplicity: Multiplicity | None = None
    """Multiplicity 2S + 1; default: that of the structure file, or else 1. Open shells are
    unrestricted Kohn-Sham."""


class FCIConfig(Config):
    """Born-Oppenheimer dynamics on the exact lowest state in a basis, by PySCF."""

    kind: Literal["fci"]
    """Full configuration interaction, for a few electrons and orbitals."""
    basis: Name = "sto-3g"
    """PySCF name of the basis."""
    charge: Charge | None = None
    """Total charge (e); default: that of the structure file, or else 0."""
    multiplicity: Multiplicity | None = None
    """Multiplicity 2S + 1; default: that of the structure file, or else 1."""


_Plain = str | int | float | bool | None


class ASEConfig(Config):
    """Dynamics with any installed ASE calculator."""

    kind: Literal["ase"]
    """ASE calculator."""
    calculator: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$")]
    """Class of the calculator with its module, such as tblite.ase.TBLite."""
    arguments: dict[str, _Plain | list[_Plain] | dict[str, _Plain | list[_Plain]]] = {}
    """Keyword arguments of the class, such as {method: GFN2-xTB} or {kpts: {size: [2, 2, 2]}}."""


class SumConfig(Config):
    """Weighted sum of potentials of the same atoms."""

    kind: Literal["sum"]
    """Sum of potentials; compiled into one kernel if every term is native."""
    terms: Annotated[list["Potential"], Field(min_length=1, max_length=100)]
    """Potentials to add, each a name or a mapping."""
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
    """Mean of potentials, whose spread of forces estimates the error."""

    kind: Literal["committee"]
    """Committee of potentials; log.csv gets the column force_spread_eV_per_A."""
    members: Annotated[list["Potential"], Field(min_length=2, max_length=100)]
    """Potentials to average, each a name or a mapping."""


ReferenceConfig = DFTConfig | FCIConfig | ASEConfig


ClassicalConfig = (
    MorseConfig | HarmonicBondConfig | HarmonicAngleConfig | LennardJonesConfig | PointChargesConfig
)


PotentialConfig = PackageConfig | ReferenceConfig | ClassicalConfig | SumConfig | CommitteeConfig


Potential = Annotated[
    Annotated[PotentialConfig, Field(discriminator="kind")],
    BeforeValidator(as_package, json_schema_input_type=Name | PotentialConfig),
]
"""Potential in an input: a name, or a mapping with its kind."""
