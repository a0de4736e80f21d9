"""Lock that admits one process per run folder."""

import errno
import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from qmd.errors import OutputError
from qmd.io.files import output_errors


class RunLock:
    """Holds ``run.lock`` in a folder while a block runs; the system releases it with the process.

    The file stays: if it were deleted, a third process could lock a new file of the same name while
    a second one still holds the old one.

    Parameters
    ----------
    directory : Path
        Existing folder with the outputs of the run.

    Raises
    ------
    OutputError
        On entry, if another process holds the lock or the folder cannot be written.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._fd = -1

    def __enter__(self) -> Self:
        path = self._directory / "run.lock"
        with output_errors(path):
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                os.close(fd)
                if error.errno != errno.EWOULDBLOCK:
                    raise
                raise OutputError(
                    f"Another qmd process is running in {self._directory}.",
                    "Wait for it, stop it, or use another output folder.",
                ) from None
        self._fd = fd
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._fd)
        self._fd = -1
