"""Compiled kernels are kept on the disk for later starts; a cache that fails costs time only.

`njit` and `cfunc` replace ``numba.njit(cache=True)`` and ``numba.cfunc(..., cache=True)``, which
differ in four ways:

- A cache that cannot be found, read or written ends the program there. Here the kernel is compiled,
  one line on stderr says so, and nothing else changes.
- What is read there has no checksum. Here a file that was cut short, or is wrong in one byte, is
  refused; so is the entry of another signature, which two processes can leave at a first start.
- A kernel is compiled again there only if the file that defines it has changed. Here it is as well
  if any source has that it may call into.
- Kernels for vectors of another width (`vector_width`) are other entries.
"""

import contextlib
import functools
import hashlib
import io
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core import caching
from numba.core.ccallback import CFunc

from .vector_width import VECTOR_WIDTH

_HERE = Path(__file__).parent
_OTHERS = _HERE.parent / "potentials"  # beside this folder in a checkout and where installed
_DIGEST_BYTES = hashlib.sha256().digest_size
_logger = logging.getLogger("qmd.kernels")  # without a handler, a warning is a line on stderr


def njit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Make a decorator that compiles a function as `numba.njit` does, and keeps what it compiled.

    Parameters
    ----------
    **options
        Those of `numba.njit`, without `cache`.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        compiled = numba.njit(**options)(function)
        if hasattr(compiled, "_cache"):  # not where Numba is switched off
            compiled._cache = KernelCache(function)
        return compiled

    return decorate


def cfunc(signature: Any, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Make a decorator that compiles a function as `numba.cfunc` does, and keeps what it compiled.

    Parameters
    ----------
    signature : Numba signature
        `FORCE_SIGNATURE` for the function of a `Force`.
    **options
        Those of `numba.cfunc`, without `cache`.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        arguments = numba.core.sigutils.normalize_signature(signature)
        compiled: Any = CFunc(function, arguments, locals={}, options=options)
        compiled._cache = KernelCache(function)
        compiled.compile()
        return compiled

    return decorate


class KernelCache(caching.NullCache):
    """Numba's cache of one function, in which every failure means: compile.

    Parameters
    ----------
    function : callable
        The Python function.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._cache: Any = None
        self._failure = ""
        try:
            self._cache = _FunctionCache(function)
        except Exception:  # Numba's own error if no folder can be written
            self._failure = "no folder for them can be written"

    @property
    def cache_path(self) -> str | None:
        """The folder, or None."""
        return self._cache and str(self._cache.cache_path)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return what was kept for a signature, or None if it has to be compiled."""
        if self._cache is None:
            return None
        try:
            return self._cache.load_overload(sig, target_context)
        except Exception as error:
            _tell(f"a compiled kernel in {self.cache_path} cannot be used ({_cause(error)})")
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep what was compiled for a signature, if that is possible."""
        if self._cache is not None:
            try:
                self._cache.save_overload(sig, data)
                return
            except Exception as error:
                self._failure = f"{self.cache_path}: {_cause(error)}"
        _tell(
            f"compiled kernels cannot be kept ({self._failure}), so each start compiles them; "
            "set NUMBA_CACHE_DIR to a folder with space that you can write to"
        )

    def flush(self) -> None:
        """Forget all entries."""
        if self._cache is not None:
            self._cache.flush()


def _cause(error: Exception) -> str:
    return getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"


_said: list[str] = []


def _tell(text: str) -> None:
    """Print one line, the first time in this process."""
    if not _said:
        _said.append(text)
        _logger.warning("qmd: %s", text)


class _UserWide(caching.UserWideCacheLocator):
    """The user's cache; not where the user has no home, and Numba would make a folder named ~."""

    def ensure_cache_path(self) -> None:
        if not os.path.isabs(self.get_cache_path()):
            raise FileNotFoundError("This user has no home.")
        super().ensure_cache_path()


class _Place(caching.CompileResultCacheImpl):
    """Folder of a function: NUMBA_CACHE_DIR, beside its source, or in the user's cache."""

    _locator_classes = [  # noqa: RUF012  # as in the base
        _UserWide if locator is caching.UserWideCacheLocator else locator
        for locator in caching.CacheImpl._locator_classes
    ]

    def get_filename_base(self, fullname: str, abiflags: str) -> str:
        """Names unlike those of Numba, whose files have no checksums."""
        return f"{super().get_filename_base(fullname, abiflags)}.qmd"


class _FunctionCache(caching.FunctionCache):
    _impl_class = _Place

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        locator = self._impl.locator
        sources = _sources_digest(Path(locator._py_file).is_relative_to(_HERE))
        self._cache_file = _Files(
            cache_path=self._cache_path,
            filename_base=self._impl.filename_base,
            source_stamp=(locator.get_source_stamp(), sources),
        )

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        """Numba's key, which knows the processor, with the width of the vectors."""
        return (*super()._index_key(sig, codegen), VECTOR_WIDTH)


class _Files(caching.IndexDataCacheFile):
    """Numba's files of one function, an index and a file for each signature, with checksums."""

    def load(self, key: Any) -> Any:
        """Return the entry of `key`, or None if there is none."""
        kept, data = super().load(key) or (None, None)
        return data if kept == key else None  # two processes may give one number to two keys

    def save(self, key: Any, data: Any) -> None:
        """Write the entry of `key`."""
        super().save(key, (key, data))

    def _load_index(self) -> Any:
        try:
            _require_whole(self._index_path)
        except FileNotFoundError:
            return {}
        except ValueError as error:
            _tell(f"the index of compiled kernels {self._index_path} {error}; compiled again")
            return {}
        return super()._load_index()

    def _load_data(self, name: str) -> Any:
        _require_whole(self._data_path(name))
        return super()._load_data(name)

    @contextlib.contextmanager
    def _open_for_write(self, filepath: str) -> Any:
        with super()._open_for_write(filepath) as file:
            content = io.BytesIO()
            yield content
            file.write(content.getvalue() + hashlib.sha256(content.getvalue()).digest())


def _require_whole(path: str) -> None:
    """Raise `ValueError` unless a file ends with the digest of the rest; pickle ignores it."""
    content = Path(path).read_bytes()
    if hashlib.sha256(content[:-_DIGEST_BYTES]).digest() != content[-_DIGEST_BYTES:]:
        raise ValueError("is damaged")


@functools.cache
def _sources_digest(integrators_only: bool) -> str:
    """Digest of all that a kernel may be compiled from, beside its own file.

    Kernels of the integrators call into this folder only, all others into the potentials as well.
    """
    digest = hashlib.sha256()
    for folder in (_HERE,) if integrators_only else (_HERE, _OTHERS):
        for file in sorted(folder.rglob("*.py")):
            text = file.read_bytes()
            name = file.relative_to(folder.parent).as_posix()
            digest.update(f"{name}\0{len(text)}\0".encode())
            digest.update(text)
    return digest.hexdigest()
