"""Text files that grow, and that a resumed run cuts back to its checkpoint."""

import os
from contextlib import suppress
from pathlib import Path

from qmd.errors import CorruptError
from qmd.io import files


class TextWriter:
    """Appends text to a file; it is kept in memory until `flush` or `sync`.

    Parameters
    ----------
    path : Path
    n_bytes : int or None
        Length that a checkpoint recorded: what follows is cut off. None starts a new file.
    head : str
        First text of a new file.

    Raises
    ------
    CorruptError
        If the file is shorter than `n_bytes`, or missing.
    OutputError
        If the file cannot be written.
    """

    def __init__(self, path: Path, n_bytes: int | None, head: str = "") -> None:
        self._path = path
        self._kept: list[str] = []
        if n_bytes is not None:
            _check_length(path, n_bytes)
        with files.output_errors(path):
            flags = os.O_WRONLY | os.O_NOFOLLOW
            if n_bytes is None:
                flags |= os.O_CREAT | os.O_EXCL
                self._kept.append(head)
            self._fd = os.open(path, flags, 0o644)
            self._size = n_bytes or 0
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
        self._size += len(data)

    def sync(self) -> int:
        """Bring the text to the disk; return the size of the file in bytes."""
        self.flush()
        with files.output_errors(self._path):
            os.fsync(self._fd)
        return self._size

    def close(self) -> None:
        """Flush and close."""
        self.flush()
        os.close(self._fd)


def _check_length(path: Path, n_bytes: int) -> None:
    if not path.exists():
        raise CorruptError(f"{path} is missing; the checkpoint counts {n_bytes} bytes in it.")
    size = path.stat().st_size
    if not size >= n_bytes:  # cutting it would fill it up with zeros
        raise CorruptError(
            f"{path} is truncated: {size} of {n_bytes} bytes present.",
            "Restore it from a copy, or begin again with --overwrite.",
        )
