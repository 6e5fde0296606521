"""The number of threads that a stage runs on."""

import os

from endoexit.errors import UsageError
from endoexit.machine import usable_cores


def check_threads(threads: int | None) -> int:
    """Return the number of threads that was asked for, or the default.

    The default is the environment variable OMP_NUM_THREADS, or the number of cores that this
    process may use.

    Raises:
        UsageError: Fewer than one thread was asked for.
    """
    return asked_threads(threads) or usable_cores()


def asked_threads(threads: int | None) -> int | None:
    """Return the number of threads that was asked for here or by OMP_NUM_THREADS; None if neither.

    Raises:
        UsageError: Fewer than one thread was asked for.
    """
    if threads is not None and threads < 1:
        raise UsageError(f"threads must be at least 1, got {threads}.")
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return threads or (int(wanted) if wanted.isdecimal() and int(wanted) > 0 else None)
