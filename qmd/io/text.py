"""Text files that grow, and that a resumed run cuts back to its checkpoint."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from qmd.errors import CorruptError
from qmd.io import files
from qmd.io.blocks import RESTORE, BlockDigests, lines_in


class TextWriter:
    """Appends text to a file; it is kept in memory until `flush` or `sync`.

    Parameters
    ----------
    path : Path
    synced : mapping or None
        What `sync` returned before the checkpoint: what follows is cut off. None starts a new file.
    head : str
        First text of a new file.

    Raises
    ------
    CorruptError
        If the file is shorter than that, missing, or damaged: the message names the lines.
    OutputError
        If the file cannot be written.
    """

    def __init__(self, path: Path, synced: Mapping[str, Any] | None, head: str = "") -> None:
        self._path = path
        self._kept: list[str] = []
        self._blocks = BlockDigests()
        if synced is not None:
            self._blocks = check(path, synced["bytes"], synced["blocks"])
        with files.output_errors(path):
            flags = os.O_WRONLY | os.O_NOFOLLOW
            if synced is None:
                flags |= os.O_CREAT | os.O_EXCL
                self._kept.append(head)
            self._fd = os.open(path, flags, 0o644)
            self._size = synced["bytes"] if synced else 0
            os.ftruncate(self._fd, self._size)

    def write(self, text: str) -> None:
        """Take text, such as one or more whole lines."""
        self._kept.append(text)

    def flush(self) -> None:
        """Let other processes see the text so far."""
        data = "".join(self._kept).encode()
        self._kept.clear()
        with files.output_errors(self._path):
            try:
                files.write_all(self._fd, data, self._size)
            except OSError:
                with suppress(OSError):
                    os.ftruncate(self._fd, self._size)  # no half of a line
                raise
        self._blocks.update(data)
        self._size += len(data)

    def sync(self) -> dict[str, Any]:
        """Bring the text to the disk; return name, size (bytes) and digests of the file."""
        self.flush()
        with files.output_errors(self._path):
            os.fsync(self._fd)
        return {"file": self._path.name, "bytes": self._size, "blocks": self._blocks.text()}

    def close(self) -> None:
        """Flush and close."""
        self.flush()
        os.close(self._fd)


def synced_text(path: Path, text: str) -> dict[str, Any]:
    """Return what `TextWriter.sync` would of a file with this text alone."""
    data, blocks = text.encode(), BlockDigests()
    blocks.update(data)
    return {"file": path.name, "bytes": len(data), "blocks": blocks.text()}


def check(path: Path, n_bytes: int, blocks: str) -> BlockDigests:
    """Compare a file with what a checkpoint recorded of it; more text may follow.

    Returns
    -------
    BlockDigests
        Those of the first `n_bytes` bytes.

    Raises
    ------
    CorruptError
        If the file is missing, shorter or damaged: the message names the lines.
    """
    if not path.exists():
        raise CorruptError(f"{path} is missing; the checkpoint counts {n_bytes} bytes in it.")
    size = path.stat().st_size
    if not size >= n_bytes:  # cutting it would fill it up with zeros
        raise CorruptError(f"{path} is truncated: {size} of {n_bytes} bytes present.", RESTORE)
    found = BlockDigests.of_file(path, 1, 0, n_bytes)
    if parts := found.differing(blocks):
        named = lines_in(path, parts, n_bytes)
        raise CorruptError(f"{path} is damaged: not all of {named} are what was written.", RESTORE)
    return found
