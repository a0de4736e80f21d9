"""Writing that leaves the old file or the new one, and reading that cannot hang.

Overwriting in place left 45 of 60 checkpoints corrupt after ``kill -9``; the recipe of `replace`
(temporary file, fsync, rename, fsync of the folder) left none.

The tests set ``QMD_FAULT=POINT`` (or ``POINT:FILE_NAME``) to die as under ``kill -9`` at one of
`FAULT_POINTS`, or behind a removal.
"""

import errno
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from qmd.errors import AbsentDataError, CorruptError, InputError, OutputError, quoted

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
    tmp = path.with_name(path.name + ".tmp")
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


def read_bytes(path: Path, limit: int) -> bytes:
    """The first `limit` bytes of a file, or fewer if it is shorter.

    Raises
    ------
    InputError
        If `path` is missing, unreadable or not a regular file.
    """
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise InputError(f"{path} is not a regular file.")
            return file.read(limit)
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}.") from None


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


def _open_at_once(path: str, flags: int) -> int:
    # Opening a FIFO without O_NONBLOCK waits for a writer that may never come.
    return os.open(path, flags | os.O_NONBLOCK)


def _fsync(path: Path, flags: int) -> None:
    fd = os.open(path, flags)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _fault(point: str, path: Path) -> None:
    if os.environ.get("QMD_FAULT") in (point, f"{point}:{path.name}"):
        os._exit(137)


def read_regular_file(path: str | Path, max_bytes: int, hint: str | None = None) -> bytes:
    """Content of a regular file: not a directory, not a pipe or device that would block.

    Parameters
    ----------
    path : str or Path
    max_bytes : int
        Largest size that is read.
    hint : str, optional
        Advice where the file is empty.

    Raises
    ------
    InputError
        If there is no such file, it cannot be read, it is empty, or it has more than `max_bytes`.
    """
    name = quoted(str(path), limit=200)
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise InputError(f"{name} is a directory; expected a file")
        if not stat.S_ISREG(status.st_mode):
            raise InputError(f"{name} is not a regular file")
        if status.st_size > max_bytes:
            raise InputError(f"{name} has {status.st_size} bytes; at most {max_bytes} are read")
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"{name} does not exist") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the name
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"{name} cannot be read: {reason}") from None
    if not content:
        raise InputError(f"{name} is empty", hint)
    return content


def read_json(path: Path) -> Any:
    """Return the content of a small JSON file that qmd wrote.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    CorruptError
        If it cannot be read, or is not JSON.
    """
    try:
        text = path.read_text()
        if text.strip():
            return json.loads(text)
        reason = "it is empty"
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        reason = error.strerror or "" if isinstance(error, OSError) else f"no JSON: {error}"
    raise CorruptError(f"{path} cannot be read: {reason}.", "Restore it from a copy.")


def find_data(
    name: str, folder: Path, key: str, hint: str | None = None, *, also_here: bool = True
) -> Path:
    """Return the path of a data file, or folder, that an input names.

    Parameters
    ----------
    name : str
        Path relative to `folder`.
    folder : Path
        Folder of the input.
    key : str
        Key of the input, for the message.
    hint : str, optional
        Advice where the file is missing.
    also_here : bool
        Look in the current folder, too.

    Raises
    ------
    InputError
        If there is no such file.
    AbsentDataError
        If even the folder that it should be in is missing: the name is then not misspelt, but the
        data is kept elsewhere.
    """
    paths = (folder / name, Path(name)) if also_here else (folder / name,)
    for path in paths:
        if path.exists():
            return path
    kind = InputError if any(path.parent.is_dir() for path in paths) else AbsentDataError
    where = f", neither in {folder} nor here" if also_here else f" in {folder}"
    raise kind(f"{key} {quoted(name, limit=200)} does not exist{where}", hint)
