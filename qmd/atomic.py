"""Writing that leaves the old file or the new one: one way, for everything that qmd writes.

Overwriting in place left 45 of 60 checkpoints corrupt after ``kill -9``; the recipe of `replace`
(temporary file, fsync, rename, fsync of the folder) left none.

The tests set ``QMD_FAULT=POINT`` (or ``POINT:FILE_NAME``) to die as under ``kill -9`` at one of
`FAULT_POINTS`, or behind a removal.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from qmd.errors import OutputError

FAULT_POINTS = ("after_tmp", "after_fsync", "after_link", "after_replace")
REMOVAL_POINT = "after_remove"

_FULL = "The disk or a quota is full, or a file size limit is reached: free space, then run again."
_DENIED = "Check the permissions, or choose another output folder."
_HINTS = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: _FULL,
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.EROFS: _DENIED,
    errno.EEXIST: "Move the file away, or choose another output folder.",
    errno.ELOOP: "Output files must not be symbolic links.",
}


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Turn an `OSError` of the body into an `OutputError` that names `path` and a way out."""
    try:
        yield
    except OSError as error:
        hint = _HINTS.get(error.errno or 0, "Check the output folder.")
        raise OutputError(f"Cannot write {path}: {error.strerror}.", hint) from error


def replace(path: Path, data: bytes, keep_previous: bool) -> None:
    """Write `data` to `path` such that a reader finds the old file or the new one, never a mix.

    The temporary file `path`.tmp has a fixed name, so a killed process leaves at most one behind,
    and the next call clears it away. Two processes must not write the same `path`: see `RunLock`.

    Parameters
    ----------
    path : Path
        Target, in an existing folder.
    data : bytes
        The whole new content.
    keep_previous : bool
        Keep the old file, if there is one, as `path`.prev.

    Raises
    ------
    OutputError
        If any step fails, fsync and close included. `path` is then the old file, or the new one
        if only the last step, the fsync of the folder, failed.
    """
    tmp = unfinished(path)
    with output_errors(path):
        try:
            _write_synced(tmp, data, path)
            if keep_previous and path.exists():
                _link(path, path.with_name(path.name + ".prev"))
            _fault("after_link", path)
            os.replace(tmp, path)
        except BaseException:
            with suppress(OSError):
                tmp.unlink()
            raise
        _fault("after_replace", path)
        fsync_directory(path.parent)


def unfinished(path: Path) -> Path:
    """Return the temporary file of `path`, which a process that was killed may have left."""
    return path.with_name(path.name + ".tmp")


def write_text(path: Path, text: str) -> None:
    """Replace `path` by `text` (UTF-8) in one step; errors as in `replace`."""
    replace(path, text.encode(), keep_previous=False)


def remove(path: Path) -> None:
    """Remove a file, if there is one.

    Raises
    ------
    OutputError
        If the folder does not allow it.
    """
    with output_errors(path):
        try:
            path.unlink()
        except FileNotFoundError:
            return
    _fault(REMOVAL_POINT, path)


def fsync_file(path: Path) -> None:
    """Wait until `path`, written and flushed by anybody, is on the disk.

    Raises
    ------
    OutputError
        If the disk does not confirm it.
    """
    with output_errors(path):
        _fsync(path, os.O_RDONLY)


def fsync_directory(path: Path) -> None:
    """Wait until the names in the folder `path` are on the disk; raises `OSError`."""
    _fsync(path, os.O_RDONLY | os.O_DIRECTORY)


def write_all(fd: int, data: bytes | memoryview, offset: int) -> None:
    """Write `data` at `offset`; a full disk shows as a short write before it is an error."""
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, offset)
        view, offset = view[written:], offset + written


def _write_synced(tmp: Path, data: bytes, path: Path) -> None:
    tmp.unlink(missing_ok=True)  # left by a killed process; O_EXCL then refuses planted links
    fd = os.open(tmp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    try:
        write_all(fd, data, 0)
        _fault("after_tmp", path)
        os.fsync(fd)
    finally:
        os.close(fd)  # network file systems report a full disk only here
    _fault("after_fsync", path)


def _link(path: Path, previous: Path) -> None:
    """Make `previous` a second name of `path` without a moment in which it does not exist."""
    tmp = previous.with_name(previous.name + ".tmp")
    tmp.unlink(missing_ok=True)
    try:
        os.link(path, tmp)
        os.replace(tmp, previous)
    finally:
        # Renaming one name of a file onto another name of the same file does nothing, by POSIX,
        # and after a kill between the two renames of `replace` they are the same file.
        tmp.unlink(missing_ok=True)


def _fsync(path: Path, flags: int) -> None:
    fd = os.open(path, flags)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _fault(point: str, path: Path) -> None:
    if os.environ.get("QMD_FAULT") in (point, f"{point}:{path.name}"):
        os._exit(137)
