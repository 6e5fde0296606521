"""The process in which the codecs run: `python -m endoexit.images.dicom.child`.

It takes frames on standard input and gives values on standard output, until its input ends. Its
memory is limited from the start, and its processor time for each frame, so that a hostile frame
ends this process and no other.
"""

import dataclasses
import sys
from typing import IO

import numpy as np

from endoexit.images.dicom import codecs
from endoexit.images.limits import limit_memory, limit_time, take_output
from endoexit.images.messages import read_message, write_message

MEMORY = 2**30
SECONDS = 4


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
    limit_memory(MEMORY)
    answers = take_output()
    import pydicom.pixels  # noqa: F401, PLC0415  so that the first frame does not wait for it

    write_message(answers, {"form": [field.name for field in dataclasses.fields(codecs.Form)]})
    while (message := read_message(sys.stdin.buffer)) is not None:
        limit_time(SECONDS)
        _answer(*message, answers)


if __name__ == "__main__":
    main()
