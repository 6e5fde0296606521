"""How many threads a stage runs on."""

import os

from endoexit.errors import UsageError


def check_threads(threads: int | None) -> int:
    """Return the number of threads: what is asked for, else a default.

    The default is the environment's OMP_NUM_THREADS, as for other programs that compute, else
    the cores that this process may use.

    Raises:
        UsageError: less than one thread.
    """
    if threads is not None and threads < 1:
        raise UsageError(f"threads must be at least 1, got {threads}.")
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return threads or (int(wanted) if wanted.isdecimal() and int(wanted) > 0 else usable_cores())


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
