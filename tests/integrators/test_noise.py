"""Noise: the published generator, and normal numbers that depend on nothing but their index."""

import math

import numpy as np
import pytest
from philox import philox
from scipy import stats

from qmd.integrators import THERMOSTAT, VELOCITIES, Stream, gaussian, njit, noise
from qmd.integrators.noise import checked_stream

philox4x32 = njit()(noise.philox4x32)  # as the loops run it
ALL_ONES = 0xFFFFFFFF


def draws(stream: Stream, step: int, n: int, purpose: int = THERMOSTAT) -> np.ndarray:
    out = np.empty((n, 3))
    gaussian(out, stream, step, purpose)
    return out


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [  # "philox4x32 10" of kat_vectors, Random123
        ([0] * 4, [0] * 2, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ([ALL_ONES] * 4, [ALL_ONES] * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xA4093822, 0x299F31D0],
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
    ids=["zeros", "ones", "pi"],
)
def test_philox_reproduces_its_published_vectors(counter, key, expected):
    words = philox4x32(*(np.uint64(w) for w in counter + key))
    assert " ".join(f"{int(w):08x}" for w in words) == expected
    assert philox(counter, key) == [int(w) for w in words]


@pytest.mark.parametrize(
    ("stream", "step", "purpose"),
    [(Stream(0), 0, 0), (Stream(2**63 - 1, 2**32 - 1), 2**56 - 1, 255), (Stream(7, 3), 2**40, 1)],
)
def test_the_layout_of_the_counter_is_the_documented_one(stream, step, purpose):
    # A trajectory can be continued by a later version only if this never changes.
    expected = []
    for block in range(3):
        counter = [block, step & ALL_ONES, step >> 32 | purpose << 24, stream.replica]
        a, b, c, d = philox(counter, [stream.seed & ALL_ONES, stream.seed >> 32])
        radius = math.sqrt(-2 * math.log(((b << 32 | a) // 2**11 + 1) / 2**53))
        angle = 2 * math.pi * ((d << 32 | c) // 2**11) / 2**53
        expected += [radius * math.cos(angle), radius * math.sin(angle)]
    # Rounding of libm only; the angle amplifies it by at most 2 pi.
    np.testing.assert_allclose(
        draws(stream, step, 2, purpose).ravel(), expected, rtol=0, atol=1e-14
    )


def test_a_million_draws_are_standard_normal():
    x = draws(Stream(seed=1), step=0, n=333_334).ravel()[:1_000_000]
    # Standard errors of mean, variance, kurtosis: 1, sqrt(2), sqrt(24) in units of 1e-3; 5 sigma.
    assert abs(x.mean()) <= 5e-3
    assert abs(x.var() - 1) <= 7.1e-3
    assert abs(stats.kurtosis(x, fisher=False) - 3) <= 0.025
    assert stats.kstest(x, "norm").pvalue > 1e-6


@pytest.mark.parametrize(
    "other",
    [
        (Stream(1, 0), 6, THERMOSTAT),
        (Stream(1, 0), 5 + 2**32, THERMOSTAT),
        (Stream(1, 1), 5, THERMOSTAT),
        (Stream(2, 0), 5, THERMOSTAT),
        (Stream(1 + 2**32, 0), 5, THERMOSTAT),
        (Stream(1, 0), 5, VELOCITIES),
    ],
    ids=["step", "high half of step", "replica", "seed", "high half of seed", "purpose"],
)
def test_streams_that_differ_in_one_word_are_uncorrelated(other):
    n = 333_334
    a, b = draws(Stream(1, 0), 5, n), draws(other[0], other[1], n, other[2])
    assert abs(np.mean(a * b)) <= 5e-3  # 5 sigma of 1e6 products


@pytest.mark.parametrize("lag", [1, 2, 3, 6])
def test_neighbouring_components_and_atoms_are_uncorrelated(lag):
    # Box-Muller partners are 1 apart, the same axis of neighbouring atoms 3 apart.
    x = draws(Stream(1), 5, 333_334).ravel()
    for a, b in ((x[lag:], x[:-lag]), (x[lag:] ** 2 - 1, x[:-lag] ** 2 - 1)):
        assert abs(np.mean(a * b)) <= 5e-3 * np.std(a) * np.std(b)


@pytest.mark.parametrize("n", [1, 2, 3, 50])
def test_a_component_depends_on_its_index_alone(n):
    np.testing.assert_array_equal(draws(Stream(3, 1), 9, n), draws(Stream(3, 1), 9, 51)[:n])


@pytest.mark.parametrize("stream", [Stream(-1), Stream(2**63), Stream(0, -1), Stream(0, 2**32)])
def test_a_stream_that_would_wrap_onto_another_is_refused(stream):
    with pytest.raises(ValueError, match=r"must lie in 0 \.\.\. 2\*\*"):
        checked_stream(stream)
