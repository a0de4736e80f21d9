"""Numba's cache in a checkout: discard it when any kernel source has changed.

Numba compares a cached function only with the file that defines it. After a change of a file
it calls into (say by `git pull`), the old code would run silently. Installed packages are safe:
an installer writes all files anew.
"""

import hashlib
from contextlib import suppress
from pathlib import Path

_FOLDERS = ("integrators", "potentials")


def discard_stale_cache(checkout: Path) -> None:
    """Delete compiled kernels in `checkout` that are older than any change of their sources."""
    digest = _digest(checkout)
    for name in _FOLDERS:
        cache = checkout / name / "__pycache__"
        mark = cache / "kernels.sha256"
        with suppress(OSError):  # read-only: then nothing is cached there either
            if mark.is_file() and mark.read_text() == digest:
                continue
            cache.mkdir(exist_ok=True)
            for pattern in ("*.nbi", "*.nbc"):
                for file in cache.glob(pattern):
                    file.unlink(missing_ok=True)
            mark.write_text(digest)


def _digest(checkout: Path) -> str:
    digest = hashlib.sha256()
    for name in _FOLDERS:
        for file in sorted((checkout / name).glob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()
