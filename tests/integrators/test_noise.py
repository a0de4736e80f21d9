"""Noise: the published generator, and normal numbers that depend on nothing but their index."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
from philox import normal_and_squares, philox
from scipy import stats

from qmd.integrators import SHOTS, THERMOSTAT, VELOCITIES, Stream, gaussian, njit, noise
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


PURPOSES = {
    name: value
    for name, value in vars(noise).items()
    if name.isupper() and not name.startswith("_") and isinstance(value, int)
}


def test_no_block_serves_twice_in_a_run_of_replicas():
    # Each is used as the program does: velocities at step 0, baths in steps 0 to n - 1, shots in
    # the forces of steps 0 to n. The radii of two of 16,000 blocks agree by chance, of 1e15 doubles
    # or more, in one of 5e6 tests.
    n_steps, n_atoms = 150, 6
    uses = [(0, "VELOCITIES"), *((step, "SHOTS") for step in range(n_steps + 1))]
    uses += [
        (step, name)
        for step in range(n_steps)
        for name in PURPOSES.keys() - {"VELOCITIES", "SHOTS"}
    ]
    found, n_blocks = list[float](), 0
    for replica in range(3):
        for step, use in uses:
            numbers = draws(Stream(8, replica), step, n_atoms, PURPOSES[use])
            found += np.hypot(*numbers.reshape(-1, 2).T).tolist()  # the radius is of one word
            n_blocks += 3 * n_atoms // 2
    assert len(found) == n_blocks == len(set(found))


def test_the_purposes_are_numbers_of_their_own():
    assert len(set(PURPOSES.values())) == len(PURPOSES)
    assert all(0 <= value < 256 for value in PURPOSES.values())
    # Those of old runs never change: they would go on with other numbers.
    assert (THERMOSTAT, VELOCITIES, SHOTS) == (0, 1, 2)


def test_the_counter_is_injective():
    # The law behind the test above, for any numbers in range: the words hold disjoint bits.
    edges = [0, 1, 2**24 - 1, 2**24, 2**32 - 1, 2**32, 2**56 - 1]
    counters = {
        (0, step & ALL_ONES, step >> 32 | purpose << 24, replica)
        for step in edges
        for purpose in (*PURPOSES.values(), 255)
        for replica in (0, 1, 2**32 - 1)
    }
    assert len(counters) == len(edges) * (len(PURPOSES) + 1) * 3
    drawn = {
        tuple(draws(Stream(5, replica), step, 1, purpose).ravel())
        for step in edges
        for purpose in (*PURPOSES.values(), 255)
        for replica in (0, 1, 2**32 - 1)
    }
    assert len(drawn) == len(counters)


def test_nothing_else_in_a_run_draws_numbers():
    # What is drawn elsewhere (training, audits, benchmarks) comes from NumPy's generator, which is
    # no Philox: no block of a run can serve there.
    root = Path(__file__).parents[2]
    drawing = r"gaussian\(|philox4x32\("
    users = {
        path.relative_to(root).as_posix()
        for name in ("qmd", "integrators", "potentials")
        for path in (root / name).rglob("*.py")
        if re.search(drawing, path.read_text())
    }
    rooms = {"integrators", "qmd/run", "qmd/benchmark"}  # speed.py times runs of its own
    assert {user for user in users if not user.startswith(tuple(rooms))} == set()
    for name in ("integrators", "qmd/run", "qmd/label", "qmd/ensemble"):
        for path in (root / name).rglob("*.py"):
            assert not re.search(r"np\.random|import random|jax\.random", path.read_text()), path


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


sums = njit()(lambda n, stream, step: noise.normal_and_squares(n, stream, step, THERMOSTAT))


@pytest.mark.parametrize("n", [0, 1, 2, 3, 30])
def test_sums_of_squares_are_those_of_the_documented_trials(n: int) -> None:
    for step in (*range(40), 2**40 + 1):
        found = sums(n, Stream(2**62 + 5, 9), step)
        # Rounding of libm; the power of three triples it.
        assert found == pytest.approx(normal_and_squares(2**62 + 5, 9, step, 0, n), rel=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3, 30])
def test_sums_of_squares_have_their_distribution(n: int) -> None:
    found = np.array([sums(n, Stream(3), step) for step in range(20_000)])
    assert stats.kstest(found[:, 0], "norm").pvalue > 1e-3
    assert stats.kstest(found[:, 1], stats.chi2(n).cdf).pvalue > 1e-3
    # Independent: 20,000 pairs give 0.007.
    assert abs(np.corrcoef(found.T)[0, 1]) < 0.03
    assert abs(np.corrcoef(found[:-1, 1], found[1:, 1])[0, 1]) < 0.03
