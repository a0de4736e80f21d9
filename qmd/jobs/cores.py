"""Number of cores that this process may use."""

import os


def available_cores() -> int:
    """Return the cores of the CPU affinity, which schedulers set, or else of the machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
