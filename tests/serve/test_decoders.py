"""The processes that decode: killed, late or out of memory, they are replaced."""

import asyncio
import contextlib
import os
import signal

import numpy as np
import pytest
from servers import PHOTOS

from endoexit.images.preprocessing import Preprocessing
from endoexit.serve.decoders import Decoders
from endoexit.serve.metrics import Metrics
from endoexit.serve.problems import Problem
from endoexit.serve.settings import Limits
from tiny import tiny_photos

PREPROCESSING = Preprocessing(size=32)


@contextlib.asynccontextmanager
async def running(**limits):
    decoders = Decoders(1, Limits(**limits), Metrics())
    await decoders.start()
    try:
        yield decoders
    finally:
        await decoders.close()


def restarts(decoders, reason):
    registry = decoders._metrics.registry
    return registry.get_sample_value("endoexit_decoder_restarts_total", {"reason": reason})


def test_a_killed_process_fails_one_image_and_is_replaced():
    async def work():
        async with running() as decoders:
            square, seconds = await decoders.decode(PHOTOS[0], PREPROCESSING)
            np.testing.assert_array_equal(square, PREPROCESSING.apply(tiny_photos()[0]))
            assert seconds > 0
            (pid,) = decoders.pids
            os.kill(pid, signal.SIGSTOP)
            job = asyncio.create_task(decoders.decode(PHOTOS[0], PREPROCESSING))
            await asyncio.sleep(0.05)
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(Problem, match=r"image\.too_slow"):
                await job
            await decoders.decode(PHOTOS[1], PREPROCESSING)
            assert decoders.pids != [pid]
            assert restarts(decoders, "died") == 1

    asyncio.run(work())


def test_a_process_that_died_while_idle_fails_no_image():
    async def work():
        async with running() as decoders:
            await decoders.decode(PHOTOS[0], PREPROCESSING)
            (pid,) = decoders.pids
            os.kill(pid, signal.SIGKILL)
            while decoders._processes[0].returncode is None:
                await asyncio.sleep(0.01)
            square, _ = await decoders.decode(PHOTOS[1], PREPROCESSING)
            np.testing.assert_array_equal(square, PREPROCESSING.apply(tiny_photos()[1]))
            assert decoders.pids != [pid]
            assert restarts(decoders, "died") == 1

    asyncio.run(work())


def test_a_process_that_hangs_is_replaced():
    async def work():
        async with running(decode_s=3) as decoders:
            await decoders.decode(PHOTOS[0], PREPROCESSING)
            decoders.limits = decoders.limits.replaced(decode_s=0.2)
            os.kill(decoders.pids[0], signal.SIGSTOP)
            with pytest.raises(Problem, match=r"image\.too_slow"):
                await decoders.decode(PHOTOS[0], PREPROCESSING)
            decoders.limits = decoders.limits.replaced(decode_s=10)
            await decoders.decode(PHOTOS[1], PREPROCESSING)
            assert restarts(decoders, "timeout") == 1

    asyncio.run(work())


def test_an_image_that_nobody_waits_for_is_not_decoded():
    async def work():
        async with running() as decoders:
            waiting = [
                asyncio.create_task(decoders.decode(PHOTOS[0], PREPROCESSING)) for _ in "abc"
            ]
            await asyncio.sleep(0)
            for task in waiting[1:]:
                task.cancel()
            await waiting[0]
            await decoders.decode(PHOTOS[1], PREPROCESSING)
            registry = decoders._metrics.registry
            assert registry.get_sample_value("endoexit_decode_seconds_count") == 2

    asyncio.run(work())


def test_a_refused_image_keeps_the_process():
    async def work():
        async with running() as decoders:
            before = decoders.pids
            with pytest.raises(Problem, match=r"image\.unknown"):
                await decoders.decode(b"no image", PREPROCESSING)
            assert decoders.pids == before

    asyncio.run(work())
