"""Parts of the kernel that only some circuits need, called by their address.

Each is compiled on its own, when the first circuit with it is packed, and once: within a large
function it would be compiled again with every function on the way to it.
"""

from typing import Any

from numba import float64, int64, types
from numba.extending import intrinsic

from qmd.integrators import call_address

PART = float64(float64[:, ::1], float64[::1], int64[::1])
"""Signature (positions, or forces written; workspace; program) -> energy, or 0."""


def _call_part(typing: Any, address: Any, vectors: Any, workspace: Any, program: Any) -> Any:
    return PART.return_type(types.int64, *PART.args), call_address


call_part: Any = intrinsic(_call_part)
"""Call the function of type `PART` at an address: (address, vectors, workspace, program)."""
