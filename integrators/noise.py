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
BAROSTAT = 3
"""Purpose of the noise of a cell."""
THERMOSTAT_AGAIN = 4
"""Purpose of the noise of a thermostat that acts a second time in a step."""

# Numba turns a mix of uint64 and int64 into float64: every constant here must be uint64.
_MULTIPLIER_0, _MULTIPLIER_1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL_0, _WEYL_1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)  # golden ratio, sqrt(3) - 1
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
_STEP_HIGH, _PURPOSE_SHIFT, _PURPOSE = np.uint64(0xFFFFFF), np.uint64(24), np.uint64(0xFF)
_TO_53_BITS, _ONE = np.uint64(11), np.uint64(1)
_ULP = 2.0**-53
_TRIALS = 32


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
    for i in range(0, flat.size, 2):
        first, second = _two_normals(i // 2, stream, step, purpose)
        flat[i] = first
        if i + 1 < flat.size:
            flat[i + 1] = second


@inner
def normal_and_squares(n, stream, step, purpose):
    """Return a standard normal number, and the sum of the squares of `n` others.

    Both are functions of (n, stream, step, purpose) alone. Block 0 makes the normal number R and
    one more, R'. The sum is 0 for ``n = 0``, ``R'^2`` for ``n = 1``; from 2 on it is twice a number
    of the gamma distribution of shape n/2 by the method of Marsaglia and Tsang [1]_, which accepts
    more than 95 % of its trials: trial t takes the first normal number of block 2t+1 and the first
    uniform number of block 2t+2. The last of `_TRIALS` is taken as it is, which happens once in
    1e40 steps.

    References
    ----------
    .. [1] G. Marsaglia and W. W. Tsang, ACM Trans. Math. Softw. 26, 363 (2000),
       https://doi.org/10.1145/358407.358414.
    """
    normal, other = _two_normals(0, stream, step, purpose)
    if n < 2:
        return normal, n * other * other
    d = 0.5 * n - 1.0 / 3.0
    c, found = 1.0 / math.sqrt(9.0 * d), 0.0
    for trial in range(_TRIALS):
        x = _two_normals(2 * trial + 1, stream, step, purpose)[0]
        u = _two_uniforms(2 * trial + 2, stream, step, purpose)[0]
        v = (1.0 + c * x) ** 3
        if v > 0.0:
            found = 2.0 * d * v
            if math.log(u) < 0.5 * x * x + d * (1.0 - v + math.log(v)):
                break
    return normal, found


@inner
def _two_normals(block, stream, step, purpose):
    first, second = _two_uniforms(block, stream, step, purpose)
    radius = math.sqrt(-2.0 * math.log(first))
    angle = 2.0 * math.pi * second
    return radius * math.cos(angle), radius * math.sin(angle)


@inner
def _two_uniforms(block, stream, step, purpose):
    """Return a number of (0, 1] and one of [0, 1)."""
    seed, count = np.uint64(stream.seed), np.uint64(step)
    c1, c3 = count & _LOW, np.uint64(stream.replica) & _LOW
    c2 = ((count >> _HALF) & _STEP_HIGH) | ((np.uint64(purpose) & _PURPOSE) << _PURPOSE_SHIFT)
    k0, k1 = seed & _LOW, seed >> _HALF
    w0, w1, w2, w3 = philox4x32(np.uint64(block) & _LOW, c1, c2, c3, k0, k1)
    first_bits = ((w1 << _HALF) | w0) >> _TO_53_BITS
    second_bits = ((w3 << _HALF) | w2) >> _TO_53_BITS
    return float(first_bits + _ONE) * _ULP, float(second_bits) * _ULP
