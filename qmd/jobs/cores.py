"""How many cores this process may use."""

import os


def available_cores() -> int:
    """Cores of its affinity, which schedulers and `taskset` set; all where the system is silent."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
