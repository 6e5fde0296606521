"""The processes that decode: killed, late or out of memory, they are replaced."""

import asyncio
import contextlib
import os
import random
import signal
import sys

import numpy as np
import pytest
from servers import PHOTOS

from endoexit.images.preprocessing import Preprocessing
from endoexit.serve.decoders import Decoders
from endoexit.serve.decoding import BEGUN
from endoexit.serve.metrics import Metrics
from endoexit.serve.problems import Problem
from endoexit.serve.settings import Limits
from tiny import tiny_photos

PREPROCESSING = Preprocessing(size=32)


@contextlib.asynccontextmanager
async def running(count=1, **limits):
    died = []
    decoders = Decoders(count, Limits(**limits), Metrics(), died.append)
    await decoders.start()
    try:
        yield decoders
    finally:
        await decoders.close()
    assert not died


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request):
    """What runs a coroutine, with each event loop that a service may have."""
    make = pytest.importorskip("uvloop").new_event_loop if request.param == "uvloop" else None

    def run(coroutine):
        with asyncio.Runner(loop_factory=make) as runner:
            runner.run(coroutine)

    return run


def restarts(decoders, reason):
    registry = decoders._metrics.registry
    return registry.get_sample_value("endoexit_decoder_restarts_total", {"reason": reason})


def only_begins(monkeypatch):
    """Let the next processes begin an image, and never finish it."""
    program = (
        "import sys, time\n"
        f"sys.stdin.buffer.read(4), sys.stdout.buffer.write({BEGUN!r}), sys.stdout.buffer.flush()\n"
        "time.sleep(60)"
    )
    monkeypatch.setattr("endoexit.serve.decoders._COMMAND", (sys.executable, "-c", program))


def test_a_killed_process_fails_the_image_that_it_has_begun(run, monkeypatch):
    async def work():
        with monkeypatch.context() as patch:
            only_begins(patch)
            decoders = Decoders(1, Limits(), Metrics(), pytest.fail)
            await decoders.start()
        (pid,) = decoders.pids
        job = asyncio.create_task(decoders.decode(PHOTOS[0], PREPROCESSING))
        while not decoders._started:
            await asyncio.sleep(0.01)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(Problem, match=r"image\.too_slow"):
            await job
        square, seconds = await decoders.decode(PHOTOS[0], PREPROCESSING)
        np.testing.assert_array_equal(square, PREPROCESSING.apply(tiny_photos()[0]))
        assert seconds > 0
        assert decoders.pids != [pid]
        assert restarts(decoders, "died") == 1
        await decoders.close()

    run(work())


def test_a_process_that_is_killed_before_it_begins_fails_no_image(run):
    async def work():
        async with running() as decoders:
            await decoders.decode(PHOTOS[0], PREPROCESSING)
            (pid,) = decoders.pids
            os.kill(pid, signal.SIGSTOP)
            job = asyncio.create_task(decoders.decode(PHOTOS[0], PREPROCESSING))
            await asyncio.sleep(0.05)
            os.kill(pid, signal.SIGKILL)
            await job
            assert decoders.pids != [pid]
            assert restarts(decoders, "died") == 1

    run(work())


def test_the_start_of_a_process_is_not_time_of_its_first_image(run, monkeypatch):
    program = "import time; time.sleep(2); from endoexit.serve.decoding import main; main()"
    monkeypatch.setattr("endoexit.serve.decoders._COMMAND", (sys.executable, "-c", program))

    async def work():
        async with running(decode_s=1.5) as decoders:
            await decoders.decode(PHOTOS[0], PREPROCESSING)
            assert restarts(decoders, "timeout") is None

    run(work())


def test_an_image_that_no_process_begins_fails_after_two(run, monkeypatch):
    async def work():
        async with running() as decoders:
            program = (sys.executable, "-c", "")
            monkeypatch.setattr("endoexit.serve.decoders._COMMAND", program)
            os.kill(decoders.pids[0], signal.SIGKILL)
            with pytest.raises(RuntimeError, match="no process begins to decode"):
                await decoders.decode(PHOTOS[0], PREPROCESSING)
            assert restarts(decoders, "died") == 2
            monkeypatch.undo()
            await decoders.decode(PHOTOS[0], PREPROCESSING)

    run(work())


def test_without_memory_for_another_process_the_next_image_tries_again(run, monkeypatch):
    async def refuse(*command, **settings):
        raise OSError(12, "Cannot allocate memory")

    async def work():
        async with running() as decoders:
            with monkeypatch.context() as patch:
                patch.setattr("asyncio.create_subprocess_exec", refuse)
                os.kill(decoders.pids[0], signal.SIGKILL)
                with pytest.raises(RuntimeError, match="Cannot allocate memory"):
                    await decoders.decode(PHOTOS[0], PREPROCESSING)
            await decoders.decode(PHOTOS[0], PREPROCESSING)

    run(work())


def test_a_process_that_died_while_idle_fails_no_image(run):
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

    run(work())


def test_a_process_that_hangs_in_an_image_is_replaced(run, monkeypatch):
    async def work():
        with monkeypatch.context() as patch:
            only_begins(patch)
            decoders = Decoders(1, Limits(decode_s=0.2), Metrics(), pytest.fail)
            await decoders.start()
        with pytest.raises(Problem, match=r"image\.too_slow"):
            await decoders.decode(PHOTOS[0], PREPROCESSING)
        decoders.limits = decoders.limits.replaced(decode_s=10)
        await decoders.decode(PHOTOS[1], PREPROCESSING)
        assert restarts(decoders, "timeout") == 1
        await decoders.close()

    run(work())


def test_a_process_that_hangs_before_it_begins_fails_no_image(run):
    async def work():
        async with running() as decoders:
            await decoders.decode(PHOTOS[0], PREPROCESSING)
            decoders.limits = decoders.limits.replaced(decode_s=2)
            os.kill(decoders.pids[0], signal.SIGSTOP)
            await decoders.decode(PHOTOS[0], PREPROCESSING)
            assert restarts(decoders, "timeout") == 1

    run(work())


def test_kills_at_any_moment_leave_all_processes_at_work(run):
    moments = random.Random(0)
    failed = []

    async def work():
        async with running(count=2) as decoders:

            async def ask():
                while len(kills) < 12:
                    try:
                        await decoders.decode(PHOTOS[0], PREPROCESSING)
                    except (Problem, RuntimeError) as error:  # killed in an image, or at its start
                        failed.append(error)

            kills: list[int] = []
            asking = [asyncio.create_task(ask()) for _ in range(4)]
            while len(kills) < 12:
                await asyncio.sleep(0.4 * moments.random())
                if decoders.pids:
                    kills.append(moments.choice(decoders.pids))
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(kills[-1], signal.SIGKILL)
            await asyncio.wait_for(asyncio.gather(*asking), 60)
            await asyncio.gather(*(decoders.decode(PHOTOS[0], PREPROCESSING) for _ in range(20)))
            assert len(decoders.pids) == 2

    run(work())
    assert len(failed) <= 12


def test_a_bug_in_the_hand_over_is_told_to_the_service(run, monkeypatch):
    async def broken(*arguments):
        raise ZeroDivisionError

    async def work():
        died = asyncio.get_running_loop().create_future()
        decoders = Decoders(1, Limits(), Metrics(), died.set_result)
        await decoders.start()
        monkeypatch.setattr(decoders, "_hand_over", broken)
        monkeypatch.setattr(decoders, "_replace", broken)
        job = asyncio.create_task(decoders.decode(PHOTOS[0], PREPROCESSING))
        assert isinstance(await died, ZeroDivisionError)
        job.cancel()
        await decoders.close()

    run(work())


def test_an_image_that_nobody_waits_for_is_not_decoded(run):
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

    run(work())


def test_a_refused_image_keeps_the_process(run):
    async def work():
        async with running() as decoders:
            before = decoders.pids
            with pytest.raises(Problem, match=r"image\.unknown"):
                await decoders.decode(b"no image", PREPROCESSING)
            assert decoders.pids == before

    run(work())
