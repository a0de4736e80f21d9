"""Normal random numbers as a pure function of (seed, replica, step, purpose, component).

The generator is Philox4x32-10 [1]_: a keyed bijection of a 128-bit counter, so that there is no
state to save and none to lose. Chunks, restarts and threads cannot change a number.

Layout: the key is the seed; the counter holds, from its lowest 32-bit word upwards, the block
(one block makes two normal numbers), the low half of the step, purpose (8 bits) and the high
part of the step (24 bits), and the replica.

References
----------
.. [1] J. K. Salmon, M. A. Moraes, R. O. Dror and D. E. Shaw, "Parallel random numbers: as easy
   as 1, 2, 3", SC11 (2011), https://doi.org/10.1145/2063384.2063405.
"""

import math
from typing import NamedTuple

import numpy as np

from .compiled import inner
from .kernel_cache import njit

THERMOSTAT = 0
"""Purpose of the noise of a stochastic integrator."""
VELOCITIES = 1
"""Purpose of initial velocities, which so never share the noise of step 0."""
SHOTS = 2
"""Purpose of the noise of forces that are measured with finite shots."""

# Numba turns a mix of uint64 and int64 into float64: every constant here must be uint64.
_MULTIPLIER_0, _MULTIPLIER_1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL_0, _WEYL_1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)  # golden ratio, sqrt(3) - 1
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
_STEP_HIGH, _PURPOSE_SHIFT, _PURPOSE = np.uint64(0xFFFFFF), np.uint64(24), np.uint64(0xFF)
_TO_53_BITS, _ONE = np.uint64(11), np.uint64(1)
_ULP = 2.0**-53


class Stream(NamedTuple):
    """Which sequence of noise a trajectory sees.

    Parameters
    ----------
    seed : int
        From 0 to 2**63 - 1.
    replica : int
        Index of the copy of the system, from 0 to 2**32 - 1; each has its own noise.
    """

    seed: int
    replica: int = 0


def checked_stream(stream: Stream) -> Stream:
    """Return `stream` as plain integers.

    Raises
    ------
    ValueError
        If the seed or the replica is out of range: it would wrap to that of another stream.
    """
    seed, replica = int(stream.seed), int(stream.replica)
    if not 0 <= seed < 2**63:
        raise ValueError(f"`seed` must lie in 0 ... 2**63 - 1, but seed={seed}.")
    if not 0 <= replica < 2**32:
        raise ValueError(f"`replica` must lie in 0 ... 2**32 - 1, but replica={replica}.")
    return Stream(seed, replica)


@inner
def philox4x32(c0, c1, c2, c3, k0, k1):
    """Philox4x32-10: encrypt the counter (c0, c1, c2, c3) with the key (k0, k1).

    Parameters
    ----------
    c0, c1, c2, c3, k0, k1 : uint64
        32-bit words; in 64-bit variables, so that a product needs no wider type.

    Returns
    -------
    tuple of 4 uint64
        32-bit words.
    """
    for _ in range(10):
        product_0, product_1 = _MULTIPLIER_0 * c0, _MULTIPLIER_1 * c2
        c0, c2 = (product_1 >> _HALF) ^ c1 ^ k0, (product_0 >> _HALF) ^ c3 ^ k1
        c1, c3 = product_1 & _LOW, product_0 & _LOW
        k0, k1 = (k0 + _WEYL_0) & _LOW, (k1 + _WEYL_1) & _LOW
    return c0, c1, c2, c3


@njit()
def gaussian(out, stream, step, purpose=THERMOSTAT):
    """Fill `out` with independent standard normal numbers.

    Component i of the flattened array depends on (stream, step, purpose, i) alone, not on the
    number of atoms.

    Parameters
    ----------
    out : float64 array, shape (n_atoms, 3), C-contiguous
        Overwritten.
    stream : Stream
    step : int
        From 0 to 2**56 - 1.
    purpose : int
        `THERMOSTAT`, `VELOCITIES`, `SHOTS` or another number up to 255: separates uses of one step.

    Notes
    -----
    Box-Muller on uniforms of 53 bits; the first lies in (0, 1], so that its logarithm is finite
    and no number exceeds 8.6.
    """
    flat = out.reshape(out.size)
    seed, count = np.uint64(stream.seed), np.uint64(step)
    c1, c3 = count & _LOW, np.uint64(stream.replica) & _LOW
    c2 = ((count >> _HALF) & _STEP_HIGH) | ((np.uint64(purpose) & _PURPOSE) << _PURPOSE_SHIFT)
    k0, k1 = seed & _LOW, seed >> _HALF
    for i in range(0, flat.size, 2):
        w0, w1, w2, w3 = philox4x32(np.uint64(i // 2) & _LOW, c1, c2, c3, k0, k1)
        radius_bits = ((w1 << _HALF) | w0) >> _TO_53_BITS
        angle_bits = ((w3 << _HALF) | w2) >> _TO_53_BITS
        radius = math.sqrt(-2.0 * math.log(float(radius_bits + _ONE) * _ULP))
        angle = 2.0 * math.pi * (float(angle_bits) * _ULP)
        flat[i] = radius * math.cos(angle)
        if i + 1 < flat.size:
            flat[i + 1] = radius * math.sin(angle)
