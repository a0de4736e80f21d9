"""The audit of a potential: symmetries, forces, interpreters, domain, smoothness."""

import json
import math
from collections.abc import Callable, Sequence

from qmd.audit.findings import AuditContext, Finding, Verdict, subject
from qmd.potentials import Package

N_GEOMETRIES = 16


def audit(package: Package, *, n_geometries: int = N_GEOMETRIES, seed: int = 0,
          log: Callable[[str], None] = lambda text: None) -> list[Finding]:  # fmt: skip
    """Try everything that a potential should fulfil before it drives dynamics.

    Parameters
    ----------
    n_geometries : int
        Random distortions of the test vectors, within the trained domain, beside these.
    seed : int
        Of the distortions, shifts and rotations.
    log : callable, optional
        Told what is being tried.
    """
    from qmd.audit.agreement import audit_forces, audit_interpreters
    from qmd.audit.domain import audit_domain
    from qmd.audit.smoothness import audit_smoothness
    from qmd.audit.symmetry import audit_symmetry

    log("compiling ...")
    work = subject(package, n_geometries, seed)
    parts: dict[str, Callable[[AuditContext], list[Finding]]] = {
        "domain": audit_domain,
        "symmetries": audit_symmetry,
        "forces": audit_forces,
        "scans": audit_smoothness,
        "interpreters": audit_interpreters,
    }
    found = []
    for name, part in parts.items():
        log(f"{name} ...")
        found += part(work)
    return found


def failed(findings: Sequence[Finding]) -> list[Finding]:
    """Those that failed; what is broken by design, or was skipped, is no failure."""
    return [finding for finding in findings if finding.verdict == Verdict.FAIL]


def as_json(package: Package, findings: Sequence[Finding]) -> str:
    """The audit for programs; a number that is not finite is written as null."""
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
    """One line for each finding."""
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
