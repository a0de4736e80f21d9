"""Parts of kernels that are compiled on their own, and called by their address.

Each is compiled when the first model with it is packed, and once: within a larger function it
would be compiled again with every function on the way to it. A call costs 10 ns more.
"""

from typing import Any

from numba import float64, int64, types
from numba.extending import intrinsic

from qmd.integrators import call_address

PART = float64(float64[:, ::1], float64[::1], int64[::1])
"""Signature (positions, or forces written; workspace; program) -> energy, or 0."""
CENTRES = float64(float64[::1], int64, int64, int64[::1])
"""Signature (workspace, first centre, shift of the scratch, program) -> 0."""


def _call_part(typing: Any, address: Any, vectors: Any, workspace: Any, program: Any) -> Any:
    return PART.return_type(types.int64, *PART.args), call_address


def _call_centres(
    typing: Any, address: Any, workspace: Any, first: Any, shift: Any, program: Any
) -> Any:
    return CENTRES.return_type(types.int64, *CENTRES.args), call_address


call_part: Any = intrinsic(_call_part)
"""Call the function of type `PART` at an address: (address, vectors, workspace, program)."""
call_centres: Any = intrinsic(_call_centres)
"""Call the function of type `CENTRES` at an address: (address, workspace, first, ...)."""
