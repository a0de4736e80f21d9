"""Checks of a potential inside its trained domain."""

import numpy as np

from qmd.audit.findings import AuditContext, Finding, finding_within
from qmd.circuits.instances import circuits
from qmd.data.domains import outside

REPEAT_RAD = np.pi
"""Period of an encoding ``exp(-i v.sigma)``, up to a sign, in ``|v|``: beyond it energies repeat,
with wells that were never trained."""


def audit_domain(context: AuditContext) -> list[Finding]:
    """Check that test vectors are inside, energies and forces finite, and angles below a period."""
    package = context.package
    strays = int(outside(package.domain, package.test_positions).sum())
    finite = np.isfinite(context.energies) & np.isfinite(context.forces).all(axis=(1, 2))
    return [
        finding_within("test vectors outside the domain", strays, 0, "frames"),
        finding_within(
            "energies or forces not finite", int((~finite).sum()), 0, "frames",
            f"of {len(finite)} inside the domain",
        ),
        *_angles(context),
    ]  # fmt: skip


def _angles(context: AuditContext) -> list[Finding]:
    """Find the longest vector of each circuit that encodes the same vectors in all layers."""
    found = []
    for part in circuits(context.package):
        encoding_vectors = part.form.encoding_vectors
        if encoding_vectors is None:
            continue
        vectors = encoding_vectors(context.positions[:, list(part.atoms)])
        longest = float(np.linalg.norm(vectors, axis=-1).max())
        found.append(
            finding_within(
                "largest encoding angle", longest, REPEAT_RAD, "rad", f"circuit {part.name}"
            )
        )
    return found
