"""Numba's cache in a checkout: discard it when any kernel source has changed.

Numba compares a cached function only with the file that defines it. After a change of a file
it calls into (say by `git pull`), the old code would run silently. Installed packages are safe:
an installer rewrites all files.
"""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

_LEAVES = ("integrators", "potentials")
_OTHERS = ("qmd", "benchmarks")
"""Folders of which only files that mention Numba count: other edits must not cost compilation."""


def discard_stale_cache(checkout: Path) -> None:
    """Delete compiled kernels in `checkout` that are older than any change of their sources.

    Where `NUMBA_CACHE_DIR` is set, Numba keeps the kernels there, and they are deleted there.
    """
    digest, folders = kernel_sources(checkout)
    marked, caches = _cache_folders(checkout, folders)
    mark = marked / f"kernels-{hashlib.sha256(bytes(checkout)).hexdigest()[:12]}.sha256"
    with suppress(OSError):  # read-only: then nothing is cached there either
        if mark.is_file() and mark.read_text() == digest:
            return
        for cache in caches:
            for pattern in ("*.nbi", "*.nbc"):
                for file in cache.glob(pattern):
                    file.unlink(missing_ok=True)
        marked.mkdir(exist_ok=True)
        mark.write_text(digest)


def kernel_sources(checkout: Path) -> tuple[str, list[Path]]:
    """Return a digest of all sources that kernels are compiled from, and their folders."""
    digest, folders = hashlib.sha256(), set()
    for name in (*_LEAVES, *_OTHERS):
        for file in sorted((checkout / name).rglob("*.py")):
            text = file.read_bytes()
            if name in _LEAVES or b"numba" in text:
                folders.add(file.parent)
                digest.update(f"{file.relative_to(checkout).as_posix()}\0{len(text)}\0".encode())
                digest.update(text)
    return digest.hexdigest(), sorted(folders)


def _cache_folders(checkout: Path, folders: list[Path]) -> tuple[Path, list[Path]]:
    """Return the folder of the mark, and those in which Numba keeps the kernels of `folders`."""
    elsewhere = os.environ.get("NUMBA_CACHE_DIR")
    if elsewhere:  # Numba names a folder there NAME_HASH, after the folder of the source
        root = Path(elsewhere)
        return root, [cache for folder in folders for cache in root.glob(f"{folder.name}_*")]
    return checkout / "qmd" / "__pycache__", [folder / "__pycache__" for folder in folders]
