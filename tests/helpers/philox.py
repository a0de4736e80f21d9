"""Normal numbers of Philox4x32-10 in Python's integers, by the documented layout."""

import math

import numpy as np

WORD = 0xFFFFFFFF


def philox(counter: list[int], key: list[int]) -> list[int]:
    """Return the four words of a block; written from the figure of the paper."""
    (a, b, c, d), (k, m) = counter, key
    for _ in range(10):
        p, q = 0xD2511F53 * a, 0xCD9E8D57 * c
        a, b, c, d = (q >> 32) ^ b ^ k, q & WORD, (p >> 32) ^ d ^ m, p & WORD
        k, m = (k + 0x9E3779B9) & WORD, (m + 0xBB67AE85) & WORD
    return [a, b, c, d]


def normals(seed: int, replica: int, step: int, purpose: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return unit normal numbers, by Box and Muller; two of each block."""
    found: list[float] = []
    for block in range(-(-math.prod(shape) // 2)):
        counter = [block, step & WORD, step >> 32 | purpose << 24, replica]
        a, b, c, d = philox(counter, [seed & WORD, seed >> 32])
        radius = math.sqrt(-2 * math.log(((b << 32 | a) // 2**11 + 1) / 2**53))
        angle = 2 * math.pi * ((d << 32 | c) // 2**11) / 2**53
        found += [radius * math.cos(angle), radius * math.sin(angle)]
    return np.array(found[: math.prod(shape)]).reshape(shape)


def normal_and_squares(
    seed: int, replica: int, step: int, purpose: int, n: int
) -> tuple[float, float]:
    """Return a normal number, and the sum of the squares of `n` more by Marsaglia and Tsang."""
    first, other = normals(seed, replica, step, purpose, (2,))
    if n < 2:
        return float(first), float(n * other**2)
    blocks = normals(seed, replica, step, purpose, (200,))[::2]
    d = n / 2 - 1 / 3
    for trial in range(40):
        counter = [2 * trial + 2, step & WORD, step >> 32 | purpose << 24, replica]
        a, b, _, _ = philox(counter, [seed & WORD, seed >> 32])
        uniform = ((b << 32 | a) // 2**11 + 1) / 2**53
        x = blocks[2 * trial + 1]
        v = (1 + x / math.sqrt(9 * d)) ** 3
        if v > 0 and math.log(uniform) < x**2 / 2 + d - d * v + d * math.log(v):
            return float(first), float(2 * d * v)
    raise AssertionError("no trial was accepted")
