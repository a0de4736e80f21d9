"""Count what a process does to the files of a folder, and die at one of these operations."""

import mmap
import os
import signal
import sys
from typing import Any

_NAMED = {"os.rename", "os.remove", "os.link", "os.truncate", "os.mkdir", "os.rmdir"}


def count(folder: str, counter: mmap.mmap, die_at: int | None) -> None:
    """From now on count operations on the files in `folder` and on all open files.

    Counted are opening to write, renaming, removing, linking, truncating and making folders in
    `folder`, and each write, pwrite and fsync of a descriptor above 2.

    Parameters
    ----------
    folder : str
    counter : mmap
        Takes the number of operations so far, in its first 8 bytes.
    die_at : int or None
        Number of the operation, from 0, before which the process kills itself; of a write it does
        the first half.
    """
    done = 0

    def tick() -> bool:
        """Count one operation; return True if it is the last."""
        nonlocal done
        last = done == die_at
        done += 1
        counter[:8] = done.to_bytes(8, "little")
        return last

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def is_inside(path: Any) -> bool:
        return isinstance(path, (str, os.PathLike)) and os.fspath(path).startswith(folder)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            writes = bool(flags & (os.O_WRONLY | os.O_RDWR)) or "w" in (mode or "")
            if not (writes and is_inside(path)):
                return
        elif event not in _NAMED or not any(map(is_inside, arguments)):
            return
        if tick():
            die()

    sys.addaudithook(hook)
    write, pwrite = os.write, os.pwrite

    def counted_write(fd: int, data: Any) -> int:
        if fd > 2 and tick():
            write(fd, memoryview(data)[: len(data) // 2])
            die()
        return write(fd, data)

    def counted_pwrite(fd: int, data: Any, offset: int) -> int:
        if fd > 2 and tick():
            pwrite(fd, memoryview(data)[: len(data) // 2], offset)
            die()
        return pwrite(fd, data, offset)

    def counted_fsync(fd: Any) -> None:
        if tick():
            die()

    os.write, os.pwrite, os.fsync = counted_write, counted_pwrite, counted_fsync
