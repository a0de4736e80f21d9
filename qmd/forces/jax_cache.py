"""JAX's cache of compiled programs, used only where a trial shows that it works.

On some processors XLA refuses to read what it has written, prints an error of several kB for each
program, and compiles again. Whether it does is decided by a trial, once for each version of JAX and
kind of processor: one process compiles a small program, another one reads it.
"""

import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import jax

TRIAL_S = 120.0
"""Longest time (s) that a trial may take; one takes a few seconds."""

_TRIAL = """
import sys, time, jax
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_compilation_cache_dir", sys.argv[1])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
hits = []
jax.monitoring.register_event_listener(
    lambda event, **settings: event.endswith("/cache_hits") and hits.append(event)
)
def program(x):
    for _ in range(8):
        x = jax.numpy.sin(x @ x.T) @ x + jax.numpy.exp(-x)
    return x.sum()
lowered = jax.jit(jax.grad(program)).lower(jax.numpy.ones((3, 3)))
begin = time.perf_counter()
lowered.compile()
print(len(hits), time.perf_counter() - begin)
"""


def use_compilation_cache() -> Path | None:
    """Let JAX keep compiled programs, if a trial shows that it can read them and that it pays.

    Returns
    -------
    Path or None
        The folder, which belongs to this user alone, since JAX trusts what is in it; None if there
        is no cache: it does not work here, or the folder cannot be written.
    """
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = base / "qmd" / f"jax-{jax.__version__}-{_processor()}"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _works(folder / "trial.json"):
            return None
    except (OSError, RuntimeError):  # RuntimeError: this user has no home
        return None
    # A disk that is full later on: JAX says so for each program, and goes on.
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache")
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    return folder


def _processor() -> str:
    """A short name for the kind of processor: nodes of a cluster may share a home."""
    text = platform.machine() + platform.processor()
    if (info := Path("/proc/cpuinfo")).is_file():
        first = info.read_text().split("\n\n")[0].splitlines()
        text += "".join(line for line in first if line.startswith(("model name", "flags")))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _works(record: Path) -> bool:
    """Result of the trial, which `record` keeps."""
    try:
        return bool(json.loads(record.read_text())["works"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        pass
    works = trial(record.parent)
    part = record.with_suffix(f".{os.getpid()}")
    part.write_text(json.dumps({"works": works}))
    part.replace(record)
    return works


def trial(where: Path) -> bool:
    """Try a cache in `where` with two processes: it must be read, in silence, and save time."""
    try:
        with tempfile.TemporaryDirectory(dir=where) as folder:
            _, compiled_s, said = _attempt(folder)
            hits, read_s, said_then = _attempt(folder)
    except (OSError, ValueError, subprocess.SubprocessError):
        return False
    return bool(hits and read_s < compiled_s and len(said_then) <= len(said))


def _attempt(folder: str) -> tuple[int, float, str]:
    """Programs that were read, time of compilation (s), and what was written to stderr."""
    command = [sys.executable, "-P", "-c", _TRIAL, folder]  # -P: no modules of this folder
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=TRIAL_S, check=True,
        env=os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"},
    )  # fmt: skip
    hits, seconds = done.stdout.split()
    return int(hits), float(seconds), done.stderr
