"""Audit of a potential: symmetries, forces, interpreters, domain, smoothness."""

import json
import math
from collections.abc import Callable, Sequence

from qmd.audit.findings import AuditContext, Finding, Verdict, audit_context
from qmd.potentials import Package

N_GEOMETRIES = 16


def audit(package: Package, *, n_geometries: int = N_GEOMETRIES, seed: int = 0,
          log: Callable[[str], None] = lambda text: None) -> list[Finding]:  # fmt: skip
    """Check all properties that a potential should have before it drives dynamics.

    Parameters
    ----------
    n_geometries : int
        Number of random distortions of the test vectors, within the trained domain, to test in
        addition to the vectors.
    seed : int
        Seed of the distortions, shifts and rotations.
    log : callable, optional
        Called with the name of each check when it begins.
    """
    from qmd.audit.agreement import audit_forces, audit_interpreters
    from qmd.audit.domain import audit_domain
    from qmd.audit.smoothness import audit_smoothness
    from qmd.audit.symmetry import audit_symmetry

    log("compiling ...")
    context = audit_context(package, n_geometries, seed)
    checks: dict[str, Callable[[AuditContext], list[Finding]]] = {
        "domain": audit_domain,
        "symmetries": audit_symmetry,
        "forces": audit_forces,
        "scans": audit_smoothness,
        "interpreters": audit_interpreters,
    }
    found = []
    for name, check in checks.items():
        log(f"{name} ...")
        found += check(context)
    return found


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
