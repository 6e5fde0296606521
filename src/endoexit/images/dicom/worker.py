"""One process for the codecs: it is kept, and replaced when a frame has ended it."""

import atexit
import dataclasses
import os
import subprocess
import threading
from typing import Any

import numpy as np

from endoexit.errors import ImageError
from endoexit.images.dicom.codecs import Form, Values
from endoexit.images.messages import end_process, read_message, start_process, write_message
from endoexit.images.refusals import damaged

# The process limits its own processor time to less. This is for one that waits, on a busy machine.
MOST_SECONDS = 30.0
_KINDS = {"|u1": np.uint8, "<u2": np.uint16}


class Worker:
    """Decodes frames in another process, one after the other, for all threads of this one."""

    def __init__(self, most_seconds: float = MOST_SECONDS) -> None:
        self._most_seconds = most_seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def decode(self, form: Form, data: bytes) -> Values:
        """Return the values of one frame.

        Raises:
            ImageError: The codec cannot decode it, or not within the limits.
        """
        with self._lock:
            process = self._running()
            clock = threading.Timer(self._most_seconds, process.kill)
            clock.start()
            try:
                answer = _ask(process, form, data)
            finally:
                clock.cancel()
            if answer is None:
                self._end()
        if answer is None:
            raise damaged("the codec failed on it, or took more than its time and memory")
        facts, content = answer
        kind = _KINDS.get(facts.get("dtype", ""))
        if kind is None:
            memory = facts.get("fault") == "memory"
            raise damaged("the codec needs more memory than it may have" if memory
                          else "the codec cannot decode it")  # fmt: skip
        values: Values = np.frombuffer(content, kind).reshape(facts["shape"])
        return values

    def close(self) -> None:
        """End the process; the next frame starts another."""
        with self._lock:
            self._end()

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is None or self._process.poll() is not None:
            self._end()
            self._process = _start()
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            end_process(process)


def _ask(
    process: "subprocess.Popen[bytes]", form: Form, data: bytes
) -> tuple[dict[str, Any], bytes] | None:
    """Return the answer to one frame; None where the process ended instead."""
    if process.stdin is None or process.stdout is None:
        return None
    try:
        write_message(process.stdin, dataclasses.asdict(form), data)
        return read_message(process.stdout)
    except (OSError, ValueError):
        return None


def _start() -> "subprocess.Popen[bytes]":
    process = start_process("endoexit.images.dicom.child")
    if process.stdout is None or read_message(process.stdout) is None:
        end_process(process)
        raise ImageError(
            "needs a codec that cannot be started: install the packages again with "
            "`pip install 'endoexit[dicom]'`.",
            kind="not supported",
        )
    return process


_shared = Worker()
atexit.register(_shared.close)


def _forget() -> None:
    """Let a forked process start its own: two cannot read from one pipe."""
    _shared._lock = threading.Lock()
    _shared._process = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def decode_apart(form: Form, data: bytes) -> Values:
    """Return the values of one compressed frame, decoded by the process that all threads share.

    Raises:
        ImageError: The codec cannot decode it, or not within the limits.
    """
    return _shared.decode(form, data)
