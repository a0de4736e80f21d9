"""Digests by block depend on the content alone, and find every flipped bit where it is."""

from pathlib import Path

import numpy as np
import pytest

from qmd.io.blocks import LEAF_BYTES, MAX_BLOCKS, BlockDigests, frames_in, lines_in

ITEM = 140  # bytes of a frame of water
LEAF = ITEM * (LEAF_BYTES // ITEM)


def digests(data: bytes, pieces: tuple[int, ...] = (2**20,)) -> BlockDigests:
    found, k = BlockDigests(ITEM), 0
    while data:
        n = pieces[k % len(pieces)]
        found.update(data[:n])
        data, k = data[n:], k + 1
    return found


@pytest.mark.parametrize("n_frames", [0, 1, 28, 29, 30, 1856, 1857, 10_000])
def test_they_do_not_depend_on_how_the_file_was_written(tmp_path: Path, n_frames: int) -> None:
    data = np.random.default_rng(n_frames).bytes(ITEM * n_frames)
    text = digests(data).text()
    assert digests(data, (ITEM, 7 * ITEM, 1000 * ITEM)).text() == text
    assert len(text) <= 16 * (MAX_BLOCKS + 1)
    (tmp_path / "file").write_bytes(b"head" + data + b"tail")
    assert BlockDigests.of_file(tmp_path / "file", ITEM, 4, 4 + len(data)).text() == text


def test_a_look_at_them_changes_nothing() -> None:
    data = np.random.default_rng(0).bytes(ITEM * 3000)
    found = BlockDigests(ITEM)
    for k in range(3000):
        found.update(data[ITEM * k : ITEM * (k + 1)])
        found.text()
    assert found.text() == digests(data).text()


@pytest.mark.parametrize("n_frames", [1, 29, 100, 1900, 20_000])
def test_a_flipped_bit_is_found_in_its_block(n_frames: int) -> None:
    rng = np.random.default_rng(n_frames)
    data = rng.bytes(ITEM * n_frames)
    text = digests(data).text()
    assert digests(data).differing(text) == []
    n_leaves = -(-len(data) // LEAF)
    # Twice as many blocks as are allowed merge; half as many are left then.
    largest = LEAF * max(1, 2 * n_leaves // MAX_BLOCKS)
    for _ in range(50):
        bad = bytearray(data)
        at = int(rng.integers(len(bad)))
        bad[at] ^= 1 << int(rng.integers(8))
        [(begin, end)] = digests(bytes(bad)).differing(text)
        assert begin <= at < end <= begin + largest


@pytest.mark.parametrize("n_leaves", [2, MAX_BLOCKS + 1])  # in blocks of one leaf, and of two
def test_leaves_that_change_places_are_found(n_leaves: int) -> None:
    data = np.random.default_rng(1).bytes(n_leaves * LEAF)
    swapped = data[LEAF : 2 * LEAF] + data[:LEAF] + data[2 * LEAF :]
    assert digests(swapped).differing(digests(data).text()) == [(0, 2 * LEAF)]


@pytest.mark.parametrize("text", ["", "00", "x" * 16, "0" * 16 * 9])
def test_digests_of_another_file_differ(text: str) -> None:
    assert digests(bytes(100 * ITEM)).differing(text)


def test_frames_and_lines_are_counted_from_1(tmp_path: Path) -> None:
    assert frames_in([(0, 20), (50, 90)], 10, 7) == "frames 1 to 2 and 6 to 7 of 7"
    (tmp_path / "log").write_text("head\n" + "".join(f"row {k}\n" for k in range(1, 8)) + "more\n")
    size = 5 + 7 * 6
    assert lines_in(tmp_path / "log", [(0, 5), (11, 100)], size) == "lines 1 to 1 and 3 to 8 of 8"
