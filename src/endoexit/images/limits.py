"""Limits that a process which decodes sets for itself: memory, time, silence."""

import math
import os
import resource
import warnings
from typing import IO


def limit_memory(most: int) -> None:
    """Let this process have no more address space than so many bytes, and leave no core."""
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would hold pixels of patients


def limit_time(seconds: int) -> None:
    """Let this process have so many more seconds of processor time; then the system ends it."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    spent = math.ceil(used.ru_utime + used.ru_stime)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (spent + seconds, hard))


def take_output() -> IO[bytes]:
    """Return standard output for messages alone.

    What a codec prints then gets neither between the messages nor on the user's screen.
    """
    warnings.simplefilter("ignore")
    messages = os.fdopen(os.dup(1), "wb")
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    return messages
