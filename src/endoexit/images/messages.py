"""A process that decodes, and messages to and from it: JSON, then bytes. Nothing is pickled."""

import contextlib
import json
import os
import struct
import subprocess
import sys
from typing import IO, Any

_LENGTHS = struct.Struct(">IQ")
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # threads take address space


def start_process(module: str) -> "subprocess.Popen[bytes]":
    """Start a module of this package as a process that reads and writes messages."""
    return subprocess.Popen(
        [sys.executable, "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # libraries may print what is in a file
        env=os.environ | _ONE_THREAD,
        start_new_session=True,  # Ctrl-C is for this process, which ends the other
    )


def end_process(process: "subprocess.Popen[Any]") -> None:
    """End a process, whatever it does, and close its streams."""
    process.kill()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
    process.wait()


def write_message(
    stream: IO[bytes], facts: dict[str, Any], content: bytes | memoryview = b""
) -> None:
    """Write one message.

    Raises:
        OSError: The other process has ended.
    """
    text = json.dumps(facts).encode()
    stream.write(_LENGTHS.pack(len(text), len(content)) + text)
    stream.write(content)
    stream.flush()


def read_message(stream: IO[bytes]) -> tuple[dict[str, Any], bytes] | None:
    """Return the next message; None where the stream ends, in the middle of a message too."""
    head = stream.read(_LENGTHS.size)
    if len(head) < _LENGTHS.size:
        return None
    text_length, length = _LENGTHS.unpack(head)
    text, content = stream.read(text_length), stream.read(length)
    if len(content) < length:
        return None
    return json.loads(text), content
