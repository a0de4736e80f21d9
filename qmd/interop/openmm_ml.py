"""Potentials of qmd in OpenMM, through the entry-point group of OpenMM-ML [1]_.

With both installed, OpenMM-ML knows the name `qmd`::

    from openmmml import MLPotential

    system = MLPotential("qmd", potential="sivqlm-h2o").createSystem(topology)
    mixed = MLPotential("qmd", potential="spc-fw").createMixedSystem(topology, mm_system, atoms)

The forces come from a `PythonForce`, which calls the native kernel in every step. Molecules are
isolated: periodic topologies are refused, except for the atoms of a mixed system, which must be
whole, because their distances are taken without images. The trained domain is not watched.

References
----------
.. [1] https://github.com/openmm/openmm-ml
"""

import warnings
from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import openmm
from ase.data import atomic_masses
from openmm import unit
from openmmml.mlpotential import MLPotentialImpl, MLPotentialImplFactory

from qmd import units


class QmdPotentialFactory(MLPotentialImplFactory):  # type: ignore[misc]  # has no types
    """Creates the implementation of ``MLPotential("qmd", potential=...)``."""

    def createImpl(  # noqa: N802  (named by OpenMM)
        self, name: str, potential: str | PathLike[str] | Mapping[str, Any], **args: Any
    ) -> "QmdPotential":
        """Return an implementation of `potential`: a name, a .qmdp, or a mapping as in an input."""
        return QmdPotential(potential)


class QmdPotential(MLPotentialImpl):  # type: ignore[misc]  # has no types
    """Potential of qmd for OpenMM-ML.

    Parameters
    ----------
    potential : str, path or mapping
        The potential, as for `qmd.interop.ase_calculator.QmdCalculator`.
    """

    def __init__(self, potential: str | PathLike[str] | Mapping[str, Any]) -> None:
        from qmd.forces.build import parse_potential

        self._config = parse_potential(potential)

    def addForces(  # noqa: N802  (named by OpenMM)
        self,
        topology: Any,
        system: Any,
        atoms: Iterable[int] | None,
        forceGroup: int,  # noqa: N803
        **args: Any,
    ) -> None:
        """Add a `PythonForce` on `atoms`, or on all atoms.

        Raises
        ------
        MismatchError
            If the potential does not serve these atoms, in this order, or they are periodic.
        """
        from qmd.errors import MismatchError

        chosen = None if atoms is None else [int(atom) for atom in atoms]
        if chosen is None and topology.getPeriodicBoxVectors() is not None:
            raise MismatchError(
                "the topology is periodic; potentials are for isolated molecules",
                hint="for one molecule, in one piece: topology.setPeriodicBoxVectors(None)",
            )
        every = list(topology.atoms())
        numbers = [
            0 if every[k].element is None else every[k].element.atomic_number
            for k in (range(len(every)) if chosen is None else chosen)
        ]
        force = openmm.PythonForce(_force_function(self._config, np.array(numbers)))
        force.setForceGroup(forceGroup)
        if chosen is not None:
            force.setParticles(chosen)
        system.addForce(force)


def _force_function(config: Any, numbers: np.ndarray) -> Callable[[Any], tuple[float, np.ndarray]]:
    """Return a function of a state of OpenMM: energy (kJ/mol), forces (kJ/mol/nm)."""
    from qmd.forces.build import build_potential
    from qmd.system.system import System

    # The geometry comes with each state; any distinct positions serve to build the potential.
    placeholder = np.arange(3.0 * len(numbers)).reshape(-1, 3)
    system = System(numbers, placeholder, atomic_masses[numbers], None, "the topology")
    potential = build_potential(config, system, Path())
    if potential.source.warning:
        warnings.warn(f"{potential.source.warning}.", stacklevel=2)
    energy_and_forces = potential.energy_and_forces

    def compute(state: Any) -> tuple[float, np.ndarray]:
        positions = state.getPositions(asNumpy=True).value_in_unit(unit.angstrom)
        energy, forces = energy_and_forces(np.ascontiguousarray(positions))
        return energy / units.kJ_per_mol, forces * (units.nm / units.kJ_per_mol)

    return compute
