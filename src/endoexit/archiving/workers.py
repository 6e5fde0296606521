"""What a driver knows of a worker, and a worker that is a process on this machine."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from endoexit.archiving.document import ShardFile
from endoexit.archiving.requests import Document, checked, compute_request, decode_request
from endoexit.images.messages import end_process


class WorkerLostError(Exception):
    """A worker ended before it answered."""


class Worker(Protocol):
    """Computes shards, one after the other. Arguments and answers are a few bytes.

    A worker that was lost starts again with its next call.
    """

    def compute(self, shard: int, fatal: Sequence[int] = ()) -> ShardFile:
        """Compute a shard and write its file; see `ShardWork.compute`.

        Raises:
            WorkerLostError: The worker ended.
            PausedError: It waited for a place to work at when the job was paused.
            EndoexitError: The shard cannot be computed, by this worker or any other.
        """

    def decode(self, shard: int, positions: range) -> None:
        """Read some images of a shard and forget them.

        Raises:
            WorkerLostError: The worker ended.
        """

    def close(self) -> None:
        """End the worker; what it is at is lost. May be called from another thread."""


class LocalWorker:
    """A worker that is a process on this machine.

    Args:
        job: Folder of the job.
        threads: Number of threads of the network.
    """

    def __init__(self, job: Path, threads: int) -> None:
        self._command = [sys.executable, "-m", "endoexit.archiving.worker", str(job), str(threads)]
        self._threads = threads
        self._process: subprocess.Popen[str] | None = None
        self._asking = threading.Lock()
        self._closing = threading.Lock()
        self._closed = False

    def compute(self, shard: int, fatal: Sequence[int] = ()) -> ShardFile:
        """See `Worker`."""
        return ShardFile.model_validate(self._ask(compute_request(shard, fatal)))

    def decode(self, shard: int, positions: range) -> None:
        """See `Worker`."""
        self._ask(decode_request(shard, positions))

    def close(self) -> None:
        """See `Worker`."""
        with self._closing:
            self._closed = True
            if self._process is not None:
                self._process.kill()
        with self._asking:
            self._end()

    def _ask(self, request: Document) -> Document:
        with self._asking:
            process = self._running()
            try:
                return _answer(process, request)
            except (OSError, ValueError, WorkerLostError) as error:  # ValueError: half a line
                self._end()
                raise WorkerLostError(f"exit code {process.returncode}") from error

    def _running(self) -> "subprocess.Popen[str]":
        with self._closing:
            if self._closed:
                raise WorkerLostError("it was closed")
            if self._process is None:
                self._process = self._start()
            return self._process

    def _start(self) -> "subprocess.Popen[str]":
        share = {"OMP_NUM_THREADS": str(self._threads)}
        return subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"OMP_WAIT_POLICY": "PASSIVE"} | os.environ | share,
            start_new_session=True,  # Ctrl-C is for the driver, which ends the others
            text=True,
        )

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            end_process(process)


def _answer(process: "subprocess.Popen[str]", request: Document) -> Document:
    if process.stdin is None or process.stdout is None:
        raise WorkerLostError("it has no streams")
    process.stdin.write(json.dumps(request) + "\n")
    process.stdin.flush()
    line = process.stdout.readline()
    if not line.endswith("\n"):
        raise WorkerLostError("it ended")
    return checked(json.loads(line))
