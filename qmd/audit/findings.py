"""Context and findings of an audit."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from qmd.audit.evaluation import batched
from qmd.data.domains import outside
from qmd.potentials import Package
from qmd.typing import Array, BatchedEnergyAndForces

SPREAD_A = 0.08
"""Standard deviation of the random shifts of the atoms, unless they leave the domain."""
HALVINGS = 12


class Verdict(StrEnum):
    """Verdict of a finding."""

    PASS = "pass"
    FAIL = "FAIL"
    BY_DESIGN = "broken, by design"
    SKIPPED = "skipped"


class Finding(NamedTuple):
    """One row of an audit."""

    what: str
    measured: float | None
    limit: float | None
    unit: str
    verdict: Verdict
    remark: str = ""


def finding_within(
    what: str, measured: float, limit: float, unit: str, remark: str = "", *, claimed: bool = True
) -> Finding:
    """Return a finding that passes if `measured` is at most `limit`; NaN does not.

    A symmetry that the model does not claim cannot fail.
    """
    broken = Verdict.FAIL if claimed else Verdict.BY_DESIGN
    verdict = Verdict.PASS if measured <= limit else broken
    return Finding(what, float(measured), float(limit), unit, verdict, remark)


@dataclass(frozen=True, eq=False)
class AuditContext:
    """Potential under audit, with geometries inside its domain, their energies and forces."""

    package: Package
    evaluate: BatchedEnergyAndForces
    positions: Array
    """Positions, angstrom, (n, n_atoms, 3)."""
    energies: Array
    """Energies, eV, (n,)."""
    forces: Array
    """Forces, eV/angstrom, (n, n_atoms, 3)."""
    rng: np.random.Generator

    @property
    def energy_limit(self) -> float:
        """Largest change of an energy by rounding, eV.

        The interpreters of a circuit agree to 1e-12 for energies and forces of order one; the
        rounding of a position is 1e-15 angstrom, which changes an energy by that times the force.
        """
        return 1e-12 * self._size

    @property
    def force_limit(self) -> float:
        """Largest change of a force by rounding, eV/angstrom; a derivative sums about 100 terms."""
        return 1e-10 * self._size

    @property
    def _size(self) -> float:
        return max(1.0, float(np.abs(self.energies).max()), float(np.abs(self.forces).max()))


def audit_context(package: Package, n_geometries: int, seed: int) -> AuditContext:
    """Evaluate the test vectors of a package and `n_geometries` random distortions of them."""
    rng = np.random.default_rng(seed)
    positions = np.concatenate([package.test_positions, distorted(package, n_geometries, rng)])
    evaluate = batched(package)
    return AuditContext(package, evaluate, positions, *evaluate(positions), rng)


def random_rotations(rng: np.random.Generator, n: int) -> Array:
    """Return random proper rotations, (n, 3, 3)."""
    q, r = np.linalg.qr(rng.standard_normal((n, 3, 3)))
    q = q * np.sign(np.diagonal(r, axis1=1, axis2=2))[:, None, :]  # uniform over O(3)
    rotations: Array = q * np.linalg.det(q)[:, None, None]
    return rotations


def distorted(package: Package, n: int, rng: np.random.Generator) -> Array:
    """Return random distortions (n, n_atoms, 3) of the test vectors, inside the trained domain.

    A shift that leaves the domain is halved, up to `HALVINGS` times.
    """
    vectors = package.test_positions
    start = vectors[rng.integers(len(vectors), size=n)]
    shift = SPREAD_A * rng.standard_normal(start.shape)
    for _ in range(HALVINGS):
        shift[outside(package.domain, start + shift)] /= 2
    moved: Array = start + shift
    return moved
