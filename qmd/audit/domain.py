"""The trained domain of a potential: whether it holds what it should."""

import numpy as np

from qmd.audit.evaluation import outside
from qmd.audit.findings import AuditContext, Finding, finding_within
from qmd.circuits.instances import circuits

REPEAT_RAD = np.pi
"""An encoding ``exp(-i v.sigma)`` comes back, up to a sign, when ``|v|`` has grown by pi: energies
repeat beyond, with wells that nothing trained."""


def audit_domain(subject: AuditContext) -> list[Finding]:
    """Test vectors inside; all energies and forces finite; angles that do not wrap around."""
    package = subject.package
    strays = int(outside(package.domain, package.test_positions).sum())
    finite = np.isfinite(subject.energies) & np.isfinite(subject.forces).all(axis=(1, 2))
    return [
        finding_within("test vectors outside the domain", strays, 0, "frames"),
        finding_within(
            "energies or forces not finite", int((~finite).sum()), 0, "frames",
            f"of {len(finite)} inside the domain",
        ),
        *_angles(subject),
    ]  # fmt: skip


def _angles(subject: AuditContext) -> list[Finding]:
    """Longest vector of each circuit that encodes the same multiple of a distance in all layers."""
    found = []
    for part in circuits(subject.package):
        encoding_vectors = part.form.encoding_vectors
        if encoding_vectors is None:
            continue
        vectors = encoding_vectors(subject.positions[:, list(part.atoms)])
        longest = float(np.linalg.norm(vectors, axis=-1).max())
        found.append(
            finding_within(
                "largest encoding angle", longest, REPEAT_RAD, "rad", f"circuit {part.name}"
            )
        )
    return found
