"""Audit of a potential: symmetries, forces, interpreters, domain, smoothness."""

import json
import math
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from qmd.audit.findings import AuditContext, Finding, Verdict, audit_context
from qmd.circuits.instances import circuits
from qmd.potentials import Package

N_GEOMETRIES = 16
QUICK_GEOMETRIES = 4
"""Number of distortions of a quick audit."""
Log = Callable[[str], None]


class Step(NamedTuple):
    """Part of an audit."""

    name: str
    check: Callable[[AuditContext], list[Finding]]
    seconds: float
    """Estimate; most of it is compilation, and PennyLane."""
    quick: bool
    """True if a quick audit has it, too."""


def audit(
    package: Package,
    *,
    n_geometries: int = N_GEOMETRIES,
    seed: int = 0,
    quick: bool = False,
    log: Log = lambda text: None,
) -> list[Finding]:
    """Check all properties that a potential should have before it drives dynamics.

    Parameters
    ----------
    n_geometries : int
        Number of random distortions of the test vectors, within the trained domain, to test in
        addition to the vectors.
    seed : int
        Seed of the distortions, shifts and rotations.
    quick : bool
        Leave out what takes most of the time: the scans for jumps, JAX without compilation, and
        PennyLane. At most `QUICK_GEOMETRIES` distortions are tested.
    log : callable, optional
        Takes lines for the user: how long the audit takes, before it begins; then the name of each
        part when it begins.
    """
    n = min(n_geometries, QUICK_GEOMETRIES) if quick else n_geometries
    if package.test_cells is not None:
        from qmd.audit.in_cells import audit_in_cells

        log(f"checks of {package.name} in cells at {len(package.test_positions) + n} geometries")
        return audit_in_cells(package, n, seed)
    every = _steps(package)
    steps = [step for step in every if step.quick or not quick]
    clock = _Clock(steps, log)
    shorter = "" if quick else "; --quick leaves out what takes longest"
    log(
        f"{len(steps) - 1} checks of {package.name} at {len(package.test_positions) + n} "
        f"geometries: about {clock.left:.0f} s on an idle processor, most of it for compilation"
        f"{shorter}"
    )
    clock.begin()
    context = audit_context(package, n, seed)
    found: list[Finding] = []
    for step in steps[1:]:
        clock.begin()
        found += step.check(context)
    if quick:
        found += [
            Finding(step.name, None, None, "", Verdict.SKIPPED, "--quick")
            for step in every
            if not step.quick
        ]
    return found


class _Clock:
    """Says which step begins, and how long the rest takes on a machine as busy as this one."""

    def __init__(self, steps: Sequence[Step], log: Log) -> None:
        self._steps, self._log, self._next = steps, log, 0
        self._started = time.monotonic()

    @property
    def left(self) -> float:
        """Estimate (s) for the steps that have not begun."""
        return sum(step.seconds for step in self._steps[self._next :])

    def begin(self) -> None:
        """Begin the next step."""
        passed = time.monotonic() - self._started
        estimated = sum(step.seconds for step in self._steps[: self._next])
        busy = max(1.0, passed / estimated) if estimated else 1.0
        step = self._steps[self._next]
        self._log(
            f"{self._next + 1} of {len(self._steps)}: {step.name} "
            f"({passed:.0f} s passed, about {busy * self.left:.0f} s left)"
        )
        self._next += 1


def _steps(package: Package) -> list[Step]:
    """List the parts of an audit, first the compilation of energy and forces.

    The estimates (s, of one core of a server) were measured on LiH, water and ethanol: compilation
    takes 2 s and 6 ms for each operation of the program, the scans half as long again, and
    PennyLane 20 s for each circuit. A network evaluates its circuit once for each atom, and each
    further evaluation costs 7 s in PennyLane and, in the scans, 0.5 s for each coordinate.
    Other potentials were not timed.
    """
    from qmd.audit.agreement import audit_eager, audit_forces, audit_native, audit_pennylane
    from qmd.audit.domain import audit_domain
    from qmd.audit.smoothness import audit_smoothness
    from qmd.audit.symmetry import audit_symmetry

    n = _n_operations(package)
    compiling = 2 + 0.006 * n
    every = circuits(package)
    further = sum(part.copies for part in every) - 1 if every else 0
    n_coordinates = package.test_positions[0].size
    by_pennylane = sum(20.0 + 7.0 * (part.form.copies - 1) for part in every)
    return [
        Step("compilation", lambda context: [], compiling, True),
        Step("domain", audit_domain, 0.1, True),
        Step("symmetries", audit_symmetry, 1.0 + further, True),
        Step("forces against differences", audit_forces, 1.0 + 0.4 * further, True),
        Step("native kernel against JAX", audit_native, 1.0, True),
        Step(
            "scans for jumps", audit_smoothness,
            1.5 * compiling + 0.5 * further * n_coordinates, False,
        ),
        Step("compiled JAX against eager", audit_eager, 5 + 0.01 * n, False),
        Step("PennyLane against JAX", audit_pennylane, by_pennylane, False),
    ]  # fmt: skip


def _n_operations(package: Package) -> int:
    """Count the elementary operations in the program of energy and forces, loops once."""
    import jax

    evaluate = package.potential().energy_and_forces
    return _counted(jax.make_jaxpr(evaluate)(package.test_positions[0]).jaxpr)


def _counted(program: Any) -> int:
    below = (
        getattr(part, "jaxpr", part)
        for equation in program.eqns
        for value in equation.params.values()
        for part in (value if isinstance(value, tuple | list) else (value,))
    )
    return len(program.eqns) + sum(_counted(part) for part in below if hasattr(part, "eqns"))


def failed(findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings that failed; broken by design and skipped are no failures."""
    return [finding for finding in findings if finding.verdict == Verdict.FAIL]


def as_json(package: Package, findings: Sequence[Finding]) -> str:
    """Return the audit as JSON; a number that is not finite becomes null."""
    rows = [finding._asdict() for finding in findings]
    for row in rows:
        if row["measured"] is not None and not math.isfinite(row["measured"]):
            row["measured"] = None
    summary = {
        "potential": package.name,
        "sha256": package.sha256,
        "passed": not failed(findings),
        "findings": rows,
    }
    return json.dumps(summary, indent=2, allow_nan=False)


def table(findings: Sequence[Finding]) -> str:
    """Return the audit as a table, one line per finding."""
    rows = [("what", "measured", "limit", "unit", "verdict", "")]
    rows += [
        (f.what, _number(f.measured), _number(f.limit), f.unit, f.verdict.value, f.remark)
        for f in findings
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2g}"
