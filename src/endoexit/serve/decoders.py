"""The processes that decode images: their jobs, and their replacement if they are late or dead."""

import asyncio
import contextlib
import json
import os
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from endoexit.images.preprocessing import Preprocessing
from endoexit.serve.decoding import frame
from endoexit.serve.metrics import Metrics
from endoexit.serve.problems import Problem
from endoexit.serve.settings import Limits

Square = npt.NDArray[np.uint8]

_COMMAND = (sys.executable, "-m", "endoexit.serve.decoding")
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # threads take address space
_LIMITS = {"image_pixels", "min_side", "max_side", "decode_s", "decode_bytes"}


@dataclass(slots=True)
class _Job:
    content: bytes
    preprocessing: Preprocessing
    frame: int | None
    done: asyncio.Future[tuple[Square, float]]


class Decoders:
    """Decodes images in other processes.

    Args:
        count: Number of processes.
        limits: Limits of an image, of the time and the memory.
        metrics: Metrics that count the outcomes.
    """

    def __init__(self, count: int, limits: Limits, metrics: Metrics) -> None:
        self._count = count
        self._metrics = metrics
        self.limits = limits
        self._jobs: asyncio.Queue[_Job] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self._processes: dict[int, asyncio.subprocess.Process] = {}

    @property
    def pids(self) -> list[int]:
        """Identifiers of the processes."""
        return [process.pid for process in self._processes.values()]

    async def start(self) -> None:
        """Start the processes."""
        for number in range(self._count):
            await self._spawn(number)
            self._tasks.append(asyncio.create_task(self._serve(number)))

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
        """
        job = _Job(content, preprocessing, frame, asyncio.get_running_loop().create_future())
        self._jobs.put_nowait(job)
        return await job.done

    async def _serve(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        while True:
            job = await self._jobs.get()
            if job.done.done():  # its request is not waiting any more
                continue
            if self._processes[number].returncode is not None:  # it died while it was idle
                await self._replace(number, "died")
            begin = loop.time()
            try:
                square = await asyncio.wait_for(self._ask(number, job), self.limits.decode_s)
            except Problem as problem:
                _fail(job, problem)
            except (TimeoutError, OSError, EOFError, ValueError) as error:
                reason = "timeout" if isinstance(error, TimeoutError) else "died"
                await self._replace(number, reason)
                _fail(job, Problem("image.too_slow"))
            else:
                seconds = loop.time() - begin
                self._metrics.decode_seconds.observe(seconds)
                if not job.done.done():
                    job.done.set_result((square, seconds))

    async def _ask(self, number: int, job: _Job) -> Square:
        process = self._processes[number]
        assert process.stdin is not None  # noqa: S101  both are pipes
        assert process.stdout is not None  # noqa: S101
        fields = job.preprocessing.model_dump(mode="json")
        head = {
            "preprocessing": fields,
            "frame": job.frame,
            **self.limits.model_dump(include=_LIMITS),
        }
        process.stdin.write(frame(head, job.content))
        await process.stdin.drain()
        length = int.from_bytes(await process.stdout.readexactly(4), "big")
        answer: dict[str, Any] = json.loads(await process.stdout.readexactly(length))
        pixels = await process.stdout.readexactly(answer["length"])
        if "code" in answer:
            raise Problem(answer["code"])
        side = job.preprocessing.size
        return np.frombuffer(pixels, np.uint8).reshape(side, side, 3)

    async def _replace(self, number: int, reason: str) -> None:
        self._metrics.decoder_restarts.labels(reason).inc()
        await self._end(number)
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

    async def _end(self, number: int) -> None:
        process = self._processes.pop(number)
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _fail(job: _Job, problem: Problem) -> None:
    if not job.done.done():
        job.done.set_exception(problem)
