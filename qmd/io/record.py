"""The record of a run, run.json, read as data: bounded, parsed, and checked against a schema.

What the schema does not name is kept unchecked: versions and the machine are for readers.
"""

from pathlib import Path
from typing import Annotated, Any, Self

from ase.data import atomic_numbers
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from qmd.errors import CorruptError, quoted
from qmd.io import files
from qmd.io.faults import MAX_DEPTH, first_fault, is_shallow
from qmd.system.isotopes import HEAVIEST_U, LIGHTEST_U

_RESTORE = "Restore it from a copy; `qmd run` with the same input writes it again."

_Mass = Annotated[float, Field(ge=LIGHTEST_U, le=HEAVIEST_U)]
_Sha256 = Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]
_Text = Annotated[str, Field(max_length=1000)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


class _Stepper(_Part):
    timestep_fs: float = Field(gt=0, le=1000)
    temperature_K: Annotated[float, Field(ge=0, le=1e7)] | dict[str, Any] | None = None
    friction_per_ps: float | None = Field(None, ge=0, le=1e9)


class _NamedPotential(_Part):
    kind: _Text


class _Input(_Part):
    integrator: _Stepper
    potential: _NamedPotential
    replicas: int = Field(1, ge=1, le=2**32)
    confinement: dict[str, Any] | None = None


class _UsedPotential(_Part):
    name: _Text
    sha256: _Sha256


class _Integrator(_Part):
    conserves_energy: bool
    target_temperature_K: float | None = Field(ge=0, le=1e7)
    damping_per_ps: float | None = Field(ge=0, le=1e9)


class _Atoms(_Part):
    masses_u: list[_Mass]
    charge: int | None = Field(None, ge=-1000, le=1000)
    multiplicity: int | None = Field(None, ge=1, le=1000)
    cell_A: list[list[float]] | None = None


class _Record(_Atoms):
    input: _Input
    potential: _UsedPotential
    integrator: _Integrator
    species: list[str] = Field(min_length=1)
    degrees_of_freedom: int = Field(ge=1, le=3_000_000)
    temperature_about_centre: bool = False

    @model_validator(mode="after")
    def _fits(self) -> Self:
        n_atoms = len(self.species)
        if len(self.masses_u) != n_atoms:
            raise ValueError(f"{n_atoms} species, but {len(self.masses_u)} masses")
        if unknown := next((s for s in self.species if atomic_numbers.get(s, 0) < 1), None):
            raise ValueError(f"{quoted(unknown)} is no chemical symbol")
        if not self.degrees_of_freedom <= 3 * n_atoms:
            raise ValueError(f"{self.degrees_of_freedom} degrees of freedom of {n_atoms} atoms")
        return self


def read(path: Path) -> dict[str, Any]:
    """Return the record of a run, with all that an analysis needs.

    Raises
    ------
    FileNotFoundError
        If there is none.
    CorruptError
        If it cannot be read, or lacks entries or has impossible ones.
    """
    record = _content(path)
    try:
        record.setdefault("integrator", _by_the_input(record["input"]["integrator"]))
    except (KeyError, TypeError, AttributeError):
        pass  # the schema names what is missing
    _check(_Record, record, path)
    return record


def read_atoms(path: Path, n_atoms: int) -> dict[str, Any]:
    """Return a record of which only masses, charge and multiplicity are checked.

    Parameters
    ----------
    path : Path
    n_atoms : int
        Number of atoms in the trajectory.

    Raises
    ------
    FileNotFoundError, CorruptError
        As `read`; also if the number of masses is another one.
    """
    record = _content(path)
    _check(_Atoms, record, path)
    found = len(record["masses_u"])
    if found != n_atoms:
        raise CorruptError(f"{path} has {found} masses for {n_atoms} atoms.", _RESTORE)
    return record


def _content(path: Path) -> dict[str, Any]:
    content = files.read_json(path)
    if not isinstance(content, dict):
        raise CorruptError(f"{path} cannot be read: it is no JSON object.", _RESTORE)
    if not is_shallow(content):
        raise CorruptError(f"{path} is damaged: it is nested deeper than {MAX_DEPTH}.", _RESTORE)
    return content


def _check(schema: type[BaseModel], record: dict[str, Any], path: Path) -> None:
    try:
        schema.model_validate(record)
    except ValidationError as error:
        raise CorruptError(f"{path} is damaged: {first_fault(error)}.", _RESTORE) from None


def _by_the_input(integrator: dict[str, Any]) -> dict[str, Any]:
    """Infer the section `integrator`, which records of version 0.1 lack, from the input."""
    temperature = integrator.get("temperature_K")  # that of a Langevin bath, the only one then
    return {
        "conserves_energy": temperature is None,
        "target_temperature_K": temperature,
        "damping_per_ps": integrator.get("friction_per_ps"),
    }
