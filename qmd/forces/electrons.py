"""Charge and multiplicity of a reference calculation: of the input, or of the structure."""

from importlib import import_module
from typing import Any

from qmd.config.trust import require_calculator
from qmd.errors import MismatchError
from qmd.forces.config import ASEConfig, DFTConfig, FCIConfig
from qmd.system.system import System

_ARGUMENTS = {"charge": ("charge",), "multiplicity": ("multiplicity", "mult")}
"""Names under which ASE calculators take them: tblite, ORCA, Gaussian and others."""


Method = DFTConfig | FCIConfig | ASEConfig


def with_electrons(config: Method, system: System) -> Method:
    """Return the settings with the charge and the multiplicity of `system`.

    Parameters
    ----------
    config : DFTConfig, FCIConfig or ASEConfig
    system : System

    Raises
    ------
    MismatchError
        If input and structure contradict each other, the numbers do not fit the electrons, or a
        calculator does not take what the structure states.
    """
    if isinstance(config, ASEConfig):
        return _with_arguments(config, system)
    charge = _one("charge", config.charge, system.charge, system.name) or 0
    multiplicity = _one("multiplicity", config.multiplicity, system.multiplicity, system.name)
    n_electrons = int(system.numbers.sum()) - charge
    if n_electrons < 1:
        raise MismatchError(f"{system.name} with charge {charge} has no electrons")
    if multiplicity is None and n_electrons % 2:
        raise MismatchError(
            f"{system.name} with charge {charge} has an odd number of electrons, {n_electrons}",
            hint="state `multiplicity`, such as 2, or another `charge`",
        )
    multiplicity = multiplicity or 1
    unpaired = multiplicity - 1
    if unpaired > n_electrons or (n_electrons - unpaired) % 2:
        raise MismatchError(
            f"multiplicity {multiplicity} does not fit the {n_electrons} electrons of "
            f"{system.name} with charge {charge}"
        )
    return config.model_copy(update={"charge": charge, "multiplicity": multiplicity})


def electrons_name(config: DFTConfig | FCIConfig) -> str:
    """Return what the name of a method says of its electrons: nothing if neutral and paired."""
    if (config.charge or 0, config.multiplicity or 1) == (0, 1):
        return ""
    return f", charge {config.charge}, multiplicity {config.multiplicity}"


def _one(what: str, of_input: int | None, of_file: int | None, name: str) -> int | None:
    if None not in (of_input, of_file) and of_input != of_file:
        raise MismatchError(
            f"the input states {what} {of_input}, but {name} states {of_file}",
            hint=f"state the {what} in one place",
        )
    return of_file if of_input is None else of_input


def _with_arguments(config: ASEConfig, system: System) -> ASEConfig:
    require_calculator(config.calculator, config.arguments)  # before it is imported
    arguments: dict[str, Any] = dict(config.arguments)
    for what, value, neutral in (
        ("charge", system.charge, 0),
        ("multiplicity", system.multiplicity, 1),
    ):
        if value is None:
            continue
        given = next((key for key in _ARGUMENTS[what] if arguments.get(key) is not None), None)
        if given is not None:
            _one(what, arguments[given], value, system.name)
            continue
        taken = _taken(config.calculator, _ARGUMENTS[what])
        if taken is not None:
            arguments[taken] = value
        elif value != neutral:
            raise MismatchError(
                f"{system.name} states {what} {value}, which {config.calculator} does not take",
                hint=f"remove the {what} if the molecule is neutral with paired electrons",
            )
    return config.model_copy(update={"arguments": arguments})


def _taken(calculator: str, names: tuple[str, ...]) -> str | None:
    """Return the first of `names` that is a parameter of the class, by its default parameters."""
    module, _, name = calculator.rpartition(".")
    try:
        kind = getattr(import_module(module), name)
    except (ImportError, AttributeError):
        return None  # the message about this comes from the method
    parameters = getattr(kind, "default_parameters", {})
    return next((key for key in names if key in parameters), None)
