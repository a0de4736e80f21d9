"""Digests of a file that grows, block by block: they find damage, and say where it is.

The file is divided into leaves of one size. The digest of a block is the exclusive or of those of
its leaves, so that two blocks merge without being read again, and their number stays at
`MAX_BLOCKS` however long the file becomes. The digests are a function of the content alone: blocks
of writing, syncs and restarts do not change them. They protect against accidents, not against
somebody who knows how they are made.
"""

import copy
import hashlib
from pathlib import Path
from typing import Self

from qmd.errors import InputError

MAX_BLOCKS = 64
LEAF_BYTES = 4096
"""Size of a leaf at most, unless one item of the file is larger."""
RESTORE = "Restore it from a copy, or begin again with --overwrite."
_DIGEST_BYTES = 8
_READ_BYTES = 2**20


class BlockDigests:
    """Digests of what was written so far.

    Parameters
    ----------
    item : int
        Bytes that belong together, such as those of a frame; a leaf holds a whole number of items.
    """

    def __init__(self, item: int = 1) -> None:
        self._leaf = item * max(1, LEAF_BYTES // item)
        self._level, self._n_leaves = 0, 0
        self._blocks: list[int] = []
        self._rest = b""

    @classmethod
    def of_file(cls, path: Path, item: int, begin: int, end: int) -> Self:
        """Read a file from `begin` to `end` (bytes).

        Raises
        ------
        InputError
            If the file cannot be read.
        """
        digests = cls(item)
        try:
            with open(path, "rb") as file:
                file.seek(begin)
                while begin < end and (data := file.read(min(_READ_BYTES, end - begin))):
                    digests.update(data)
                    begin += len(data)
        except OSError as error:
            raise InputError(f"Cannot read {path}: {error.strerror}.") from None
        return digests

    def update(self, data: bytes) -> None:
        """Take what follows in the file."""
        data = self._rest + data
        whole = len(data) - len(data) % self._leaf
        view = memoryview(data)
        for at in range(0, whole, self._leaf):
            self._add(view[at : at + self._leaf])
        self._rest = data[whole:]

    def _add(self, leaf: bytes | memoryview) -> None:
        block = self._n_leaves >> self._level
        if block == MAX_BLOCKS:
            pairs = zip(self._blocks[::2], self._blocks[1::2], strict=True)
            self._blocks = [first ^ second for first, second in pairs]
            self._level += 1
            block //= 2
        if block == len(self._blocks):
            self._blocks.append(0)
        number = self._n_leaves.to_bytes(8, "little")  # leaves that change places are noticed
        digest = hashlib.blake2b(leaf, digest_size=_DIGEST_BYTES, salt=number).digest()
        self._blocks[block] ^= int.from_bytes(digest, "big")
        self._n_leaves += 1

    def _closed(self) -> Self:
        """Return a copy in which the rest is a leaf."""
        closed = copy.copy(self)
        closed._blocks = list(self._blocks)
        if self._rest:
            closed._add(self._rest)
        return closed

    def text(self) -> str:
        """Return the digests of all blocks, as hexadecimal digits for a checkpoint."""
        return "".join(f"{block:0{2 * _DIGEST_BYTES}x}" for block in self._closed()._blocks)

    def differing(self, text: str) -> list[tuple[int, int]]:
        """Return the parts of the file (bytes from `begin`) that `text` does not agree with."""
        closed, digits = self._closed(), 2 * _DIGEST_BYTES
        size, found = closed._leaf << closed._level, list[tuple[int, int]]()
        if len(text) != digits * len(closed._blocks):
            return [(0, size * len(closed._blocks))]
        for k, block in enumerate(closed._blocks):
            if text[digits * k : digits * (k + 1)] != f"{block:0{digits}x}":
                begin = found.pop()[0] if found and found[-1][1] == size * k else size * k
                found.append((begin, size * (k + 1)))
        return found


def frames_in(parts: list[tuple[int, int]], item: int, n_items: int) -> str:
    """Name the frames in parts of a file, counted from 1: `frames 1 to 29 and 88 to 116 of 400`."""
    names = (f"{begin // item + 1} to {min(end // item, n_items)}" for begin, end in parts)
    return f"frames {' and '.join(names)} of {n_items}"


def lines_in(path: Path, parts: list[tuple[int, int]], size: int) -> str:
    """Name the lines in parts of the first `size` bytes of a text file, counted from 1."""
    with open(path, "rb") as file:
        content = file.read(size)

    def line(at: int) -> int:
        return 1 + content.count(b"\n", 0, at)

    names = (f"{line(begin)} to {line(min(end, size) - 1)}" for begin, end in parts)
    return f"lines {' and '.join(names)} of {line(size - 1)}"
