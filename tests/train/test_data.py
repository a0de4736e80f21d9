"""Training, validation and test frames: disjoint, of the numbers asked for, by the seed."""

import numpy as np
import pytest

from qmd.train.config import SplitConfig
from qmd.train.data import _draw


@pytest.mark.parametrize("method", ["random", "even"])
@pytest.mark.parametrize("test", [None, 7])
def test_no_frame_is_in_two_parts(method: str, test: int | None) -> None:
    config = SplitConfig(train=20, validation=10, test=test, method=method, seed=3)
    parts = _draw(config, 50, with_test=True)
    assert [len(part) for part in parts] == [20, 10, 20 if test is None else test]
    drawn = np.concatenate(parts)
    assert len(set(drawn.tolist())) == len(drawn) and set(drawn) <= set(range(50))
    for again, part in zip(_draw(config, 50, with_test=True), parts, strict=True):
        np.testing.assert_array_equal(again, part)
    # Ten of 30 or more frames agree by chance in one of 3e7 cases.
    other = _draw(config.model_copy(update={"seed": 4}), 50, with_test=True)
    assert set(other[1]) != set(parts[1])


def test_an_even_split_has_both_ends_and_equal_steps() -> None:
    config = SplitConfig(train=6, validation=10, method="even", seed=3)
    train = _draw(config, 51, with_test=True)[0]
    np.testing.assert_array_equal(train, [0, 10, 20, 30, 40, 50])
