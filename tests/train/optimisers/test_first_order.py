"""Blocks of first-order fits: each is drawn by its own number, also in a session that goes on."""

from typing import Any

import numpy as np
import pytest

from qmd.train.optimisers import first_order
from qmd.train.problem import OptimiserProgress

optax = pytest.importorskip("optax", reason="needs the extra `train`")


@pytest.mark.parametrize("done", [0, 5, 15])
def test_a_session_that_goes_on_draws_the_blocks_that_are_left(done: int) -> None:
    drawn: list[tuple[int, int]] = []

    def block(carry: Any, number: int, n: int) -> Any:
        drawn.append((number, n))
        return carry, [0.0]

    reported: list[int] = []
    begin = OptimiserProgress(done, 0.0, np.zeros(2))
    first_order._in_blocks(
        optax.sgd(0.1), begin, lambda progress: reported.append(progress.iteration), 18, 5, block
    )
    assert drawn == [(0, 5), (1, 5), (2, 5), (3, 3)][done // 5 :]
    assert reported == [5, 10, 15, 18][done // 5 :]
