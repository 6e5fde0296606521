"""The process in which the codecs run: `python -m endoexit.images.dicom.child`.

It takes frames on standard input and gives values on standard output, until its input ends. Its
memory is limited from the start, and its processor time for each frame, so that a hostile frame
ends this process and no other.
"""

import dataclasses
import math
import os
import resource
import sys
import warnings
from typing import IO

import numpy as np

from endoexit.images.dicom import codecs
from endoexit.images.dicom.messages import read_message, write_message

MEMORY = 2**30
SECONDS = 4


def _limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would hold pixels of patients


def _limit_time() -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    spent = math.ceil(used.ru_utime + used.ru_stime)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (spent + SECONDS, hard))


def _answer(request: dict[str, object], data: bytes, stream: IO[bytes]) -> None:
    try:
        values = np.ascontiguousarray(codecs.decode_frame(codecs.Form(**request), data))  # type: ignore[arg-type]
        facts: dict[str, object] = {"shape": values.shape, "dtype": values.dtype.str}
        content: bytes | memoryview = values.data.cast("B")
    except MemoryError:
        facts, content = {"fault": "memory"}, b""
    except Exception:  # codecs raise errors of every kind; their texts may quote the file
        facts, content = {"fault": "codec"}, b""
    write_message(stream, facts, content)


def main() -> None:
    """Answer until the input ends."""
    _limit_memory()
    warnings.simplefilter("ignore")
    # What a codec prints must not get between the answers, nor on the user's screen.
    answers = os.fdopen(os.dup(1), "wb")
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    import pydicom.pixels  # noqa: F401, PLC0415  so that the first frame does not wait for it

    write_message(answers, {"form": [field.name for field in dataclasses.fields(codecs.Form)]})
    while (message := read_message(sys.stdin.buffer)) is not None:
        _limit_time()
        _answer(*message, answers)


if __name__ == "__main__":
    main()
