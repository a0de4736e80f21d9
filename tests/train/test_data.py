"""Training, validation and test frames: disjoint, of the numbers asked for, by the seed."""

from types import SimpleNamespace

import numpy as np
import pytest

from qmd.train.config import NoiseConfig, SplitConfig
from qmd.train.data import draw, with_noise
from qmd.train.problem import Frames


@pytest.mark.parametrize("method", ["random", "even"])
@pytest.mark.parametrize("test", [None, 7])
def test_no_frame_is_in_two_parts(method: str, test: int | None) -> None:
    config = SplitConfig(train=20, validation=10, test=test, method=method, seed=3)
    parts = draw(config, 50, with_test=True)
    assert [len(part) for part in parts] == [20, 10, 20 if test is None else test]
    drawn = np.concatenate(parts)
    assert len(set(drawn.tolist())) == len(drawn) and set(drawn) <= set(range(50))
    for again, part in zip(draw(config, 50, with_test=True), parts, strict=True):
        np.testing.assert_array_equal(again, part)
    # Ten of 30 or more frames agree by chance in one of 3e7 cases.
    other = draw(config.model_copy(update={"seed": 4}), 50, with_test=True)
    assert set(other[1]) != set(parts[1])


def test_an_even_split_has_both_ends_and_equal_steps() -> None:
    config = SplitConfig(train=6, validation=10, method="even", seed=3)
    train = draw(config, 51, with_test=True)[0]
    np.testing.assert_array_equal(train, [0, 10, 20, 30, 40, 50])


def test_noise_of_labels_has_the_size_asked_for_and_leaves_the_test_frames() -> None:
    x = np.zeros((400, 3, 3))
    frames = Frames(x, np.zeros(400), x)
    data = SimpleNamespace(train=frames, validation=frames)
    noisy = with_noise(data, NoiseConfig(energy_std_eV=0.2, forces_std_eV_per_A=0.03, seed=5))
    for part in noisy:
        # Standard errors of a standard deviation: 1/sqrt(800) of 400 numbers, 1/sqrt(7200) of 3600.
        assert part.energies.std() == pytest.approx(0.2, rel=5 / 800**0.5)
        assert part.forces is not None
        assert part.forces.std() == pytest.approx(0.03, rel=5 / 7200**0.5)
        np.testing.assert_array_equal(part.positions, x)
    assert not np.array_equal(noisy[0].energies, noisy[1].energies)
    assert not frames.energies.any() and not x.any()
