"""The processes that decode images: their jobs, and their replacement if they are late or dead."""

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from endoexit.images.preprocessing import Preprocessing
from endoexit.serve.decoding import BEGUN, frame
from endoexit.serve.metrics import Metrics
from endoexit.serve.problems import Problem
from endoexit.serve.settings import Limits

Square = npt.NDArray[np.uint8]

_COMMAND = (sys.executable, "-m", "endoexit.serve.decoding")
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # threads take address space
_START_S = 60.0  # a new process imports its libraries; on a busy machine that takes seconds
_ATTEMPTS = 2  # to have an image begun
_LIMITS = {"image_pixels", "min_side", "max_side", "decode_s", "decode_bytes"}


@dataclass(slots=True)
class _Job:
    content: bytes
    preprocessing: Preprocessing
    frame: int | None
    done: asyncio.Future[tuple[Square, float]]


class _NotBegunError(RuntimeError):
    """An image for which there is no process."""


class Decoders:
    """Decodes images in other processes.

    Args:
        count: Number of processes.
        limits: Limits of an image, of the time and the memory.
        metrics: Metrics that count the outcomes.
        die: Function that is called with the error if no image can be decoded any more.
    """

    def __init__(
        self, count: int, limits: Limits, metrics: Metrics, die: Callable[[BaseException], None]
    ) -> None:
        self._count = count
        self._metrics = metrics
        self._die = die
        self.limits = limits
        self._jobs: asyncio.Queue[_Job] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self._processes: dict[int, asyncio.subprocess.Process] = {}
        self._started: set[int] = set()  # those that have begun an image

    @property
    def pids(self) -> list[int]:
        """Identifiers of the processes."""
        return [process.pid for process in self._processes.values()]

    async def start(self) -> None:
        """Start the processes."""
        for number in range(self._count):
            await self._spawn(number)
            task = asyncio.create_task(self._serve(number))
            task.add_done_callback(self._ended)
            self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._die(error)

    async def close(self) -> None:
        """End the processes."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for number in list(self._processes):
            await self._end(number)

    async def decode(
        self, content: bytes, preprocessing: Preprocessing, frame: int | None = None
    ) -> tuple[Square, float]:
        """Return the network's square of an image, and the seconds that decoding took.

        Args:
            content: Content of the file.
            preprocessing: Preprocessing of the network.
            frame: Frame of a DICOM object that holds several; None to refuse these.

        Raises:
            Problem: The image is refused, or took too much time or memory.
            RuntimeError: There is no process that decodes.
        """
        job = _Job(content, preprocessing, frame, asyncio.get_running_loop().create_future())
        self._jobs.put_nowait(job)
        return await job.done

    async def _serve(self, number: int) -> None:
        while True:
            job = await self._jobs.get()
            if job.done.done():  # its request is not waiting any more
                continue
            try:
                await self._hand_over(number, job)
                answer = await self._timed(self._answer(number, job))
            except Problem as problem:
                _fail(job, problem)
            except _NotBegunError as error:
                _fail(job, error)
            except Exception as error:  # event loops differ in what a broken pipe raises
                await self._replace(number, error)
                _fail(job, Problem("image.too_slow"))
            else:
                self._metrics.decode_seconds.observe(answer[1])
                if not job.done.done():
                    job.done.set_result(answer)

    async def _timed(self, answer: Awaitable[Square]) -> tuple[Square, float]:
        begin = time.monotonic()
        square = await asyncio.wait_for(answer, self.limits.decode_s)
        return square, time.monotonic() - begin

    async def _hand_over(self, number: int, job: _Job) -> None:
        """Give an image to a process, and to the one that replaces it if it is not begun."""
        for attempt in range(_ATTEMPTS):
            try:
                if number not in self._processes:
                    await self._spawn(number)
                seconds = self.limits.decode_s if number in self._started else _START_S
                await asyncio.wait_for(self._give(number, job), seconds)
            except Exception as error:
                await self._replace(number, error)
                if attempt == _ATTEMPTS - 1:
                    raise _NotBegunError(f"no process begins to decode: {error!r}") from error
            else:
                self._started.add(number)
                return

    async def _give(self, number: int, job: _Job) -> None:
        sink, source = self._pipes(number)
        fields = job.preprocessing.model_dump(mode="json")
        head = {
            "preprocessing": fields,
            "frame": job.frame,
            **self.limits.model_dump(include=_LIMITS),
        }
        sink.write(frame(head, job.content))
        await sink.drain()
        await source.readexactly(len(BEGUN))

    async def _answer(self, number: int, job: _Job) -> Square:
        _, source = self._pipes(number)
        length = int.from_bytes(await source.readexactly(4), "big")
        answer: dict[str, Any] = json.loads(await source.readexactly(length))
        pixels = await source.readexactly(answer["length"])
        if "code" in answer:
            raise Problem(answer["code"])
        side = job.preprocessing.size
        return np.frombuffer(pixels, np.uint8).reshape(side, side, 3)

    def _pipes(self, number: int) -> tuple[asyncio.StreamWriter, asyncio.StreamReader]:
        process = self._processes[number]
        assert process.stdin is not None  # noqa: S101  both are pipes
        assert process.stdout is not None  # noqa: S101
        return process.stdin, process.stdout

    async def _replace(self, number: int, error: Exception) -> None:
        reason = "timeout" if isinstance(error, TimeoutError) else "died"
        self._metrics.decoder_restarts.labels(reason).inc()
        await self._end(number, alive=reason == "timeout")
        with contextlib.suppress(OSError):  # no memory for it now; the next image tries again
            await self._spawn(number)

    async def _spawn(self, number: int) -> None:
        self._processes[number] = await asyncio.create_subprocess_exec(
            *_COMMAND,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,  # libraries may print what is in an image
            env=os.environ | _ONE_THREAD,
            limit=2**20,
        )

    async def _end(self, number: int, *, alive: bool = True) -> None:
        process = self._processes.pop(number, None)
        self._started.discard(number)
        if process is None:
            return
        if not alive:  # its pipe may close before it is gone; asyncio warns where both reap it
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), 1)
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _fail(job: _Job, error: Exception) -> None:
    if not job.done.done():
        job.done.set_exception(error)
