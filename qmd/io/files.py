"""Reading that cannot hang; and the writing of `qmd.atomic`, by the same name."""

import json
import os
import stat
from pathlib import Path
from typing import Any

from qmd.atomic import (
    FAULT_POINTS,
    REMOVAL_POINT,
    fsync_directory,
    fsync_file,
    output_errors,
    remove,
    replace,
    unfinished,
    write_all,
    write_text,
)
from qmd.errors import AbsentDataError, CorruptError, InputError, quoted

__all__ = [
    "FAULT_POINTS",
    "REMOVAL_POINT",
    "find_data",
    "fsync_directory",
    "fsync_file",
    "output_errors",
    "read_bytes",
    "read_json",
    "read_regular_file",
    "remove",
    "replace",
    "unfinished",
    "write_all",
    "write_text",
]


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


def _open_at_once(path: str, flags: int) -> int:
    # Opening a FIFO without O_NONBLOCK waits for a writer that may never come.
    return os.open(path, flags | os.O_NONBLOCK)


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


MAX_JSON_BYTES = 2**26
"""Room for the record of a million atoms."""


def read_json(path: Path) -> Any:
    """Return the content of a JSON file that qmd wrote, of at most `MAX_JSON_BYTES`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    CorruptError
        If it cannot be read, or is not JSON.
    """
    try:
        path.stat()
        content = read_bytes(path, MAX_JSON_BYTES + 1)
        if len(content) > MAX_JSON_BYTES:
            reason = f"it has more than {MAX_JSON_BYTES} bytes"
        elif content.strip():
            return json.loads(content)
        else:
            reason = "it is empty"
    except FileNotFoundError:
        raise
    except (OSError, InputError) as error:
        reason = error.strerror or "" if isinstance(error, OSError) else "it is no readable file"
    except RecursionError:
        reason = "it is nested too deeply"
    except ValueError as error:
        reason = f"no JSON: {error}"
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
        if os.path.exists(path):
            return path
    kind = InputError if any(os.path.isdir(path.parent) for path in paths) else AbsentDataError
    where = f", neither in {folder} nor here" if also_here else f" in {folder}"
    raise kind(f"{key} {quoted(name, limit=200)} does not exist{where}", hint)
