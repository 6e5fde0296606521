"""The engine's thread: models change between batches, and every image ends on its own."""

import asyncio
import threading
import time

import numpy as np
from table_backend import PREPROCESSING, TableBackend, numbered

from endoexit.policy import fixed_exit
from endoexit.runtime.engine import Engine
from endoexit.serve import worker as worker_module
from endoexit.serve.scheduler import Scheduler
from endoexit.serve.worker import Journey, Worker


def scheduler_of(label):
    """Return a scheduler whose answers all have this label."""
    logits = np.zeros((3, 4, 4), np.float32)
    logits[:, :, label] = 5
    return Scheduler([Engine(TableBackend(logits), fixed_exit(3, 3), PREPROCESSING)], 2, 8)


async def answer(worker, scheduler):
    journey = Journey()
    worker.add(scheduler, journey, numbered([0])[0], float("inf"))
    outcome = await asyncio.wait_for(journey.end, 10)
    assert [outcome.kind, len(journey.marks)] == ["answered", 3]
    return outcome.prediction.label


def test_images_end_on_the_model_with_which_they_began():
    async def work():
        first, second = scheduler_of(1), scheduler_of(2)
        worker = Worker(first, lambda error: None)
        try:
            assert await answer(worker, first) == 1
            worker.swap(second)
            assert await answer(worker, second) == 2
            # An image that was decoded while the model changed still belongs to the first one.
            assert await answer(worker, first) == 1
            assert await answer(worker, second) == 2
        finally:
            await worker.close()

    asyncio.run(work())


def test_an_image_that_does_not_fit_fails_alone():
    async def work():
        scheduler = scheduler_of(1)
        worker = Worker(scheduler, lambda error: None)
        try:
            journey = Journey()
            worker.add(scheduler, journey, np.zeros((3, 3, 3), np.uint8), float("inf"))
            outcome = await asyncio.wait_for(journey.end, 10)
            assert outcome.kind == "failed"
            assert await answer(worker, scheduler) == 1
        finally:
            await worker.close()

    asyncio.run(work())


def test_an_error_of_the_thread_is_told():
    async def work():
        told = asyncio.get_running_loop().create_future()
        worker = Worker(scheduler_of(1), told.set_result)
        worker._commands.put(lambda: 1 / 0)
        assert isinstance(await asyncio.wait_for(told, 10), ZeroDivisionError)

    asyncio.run(work())


def test_a_thread_that_turns_says_so():
    async def work():
        worker = Worker(scheduler_of(1), lambda error: None)
        await asyncio.sleep(1.2)
        assert worker.since_turn_s < 1.0
        await worker.close()
        await asyncio.sleep(0.1)
        assert not worker._thread.is_alive()

    asyncio.run(work())


class MeetingBackend(TableBackend):
    """Its stages end only when two of them run at the same time."""

    meeting = threading.Barrier(2, timeout=10)

    def run(self, number, state):
        self.meeting.wait()
        return super().run(number, state)


def test_as_many_batches_run_at_the_same_time_as_there_are_streams():
    async def work():
        logits = np.zeros((3, 4, 4), np.float32)
        engines = [
            Engine(MeetingBackend(logits), fixed_exit(3, 3), PREPROCESSING) for _ in range(2)
        ]
        scheduler = Scheduler(engines, 1, 8)
        worker = Worker(scheduler, lambda error: None, streams=2)
        try:
            await asyncio.gather(answer(worker, scheduler), answer(worker, scheduler))
        finally:
            await worker.close()

    asyncio.run(work())


class HangingBackend(TableBackend):
    """A stage that hangs until it is let go."""

    go_on = threading.Event()

    def run(self, number, state):
        self.go_on.wait(10)
        return super().run(number, state)


def test_a_stage_that_hangs_is_seen():
    async def work():
        backend = HangingBackend(np.zeros((3, 4, 4), np.float32))
        scheduler = Scheduler([Engine(backend, fixed_exit(3, 3), PREPROCESSING)], 2, 8)
        worker = Worker(scheduler, lambda error: None)
        task = asyncio.create_task(answer(worker, scheduler))
        await asyncio.sleep(1.5)  # the thread that decides turns meanwhile
        assert worker.since_turn_s > 1.0
        backend.go_on.set()
        await task
        await asyncio.sleep(1.0)
        assert worker.since_turn_s < 1.0
        await worker.close()

    asyncio.run(work())


def test_an_error_of_a_job_is_told():
    class Broken(Scheduler):
        def begin(self):
            job = super().begin()
            if job is not None:
                job.run = lambda: 1 / 0
            return job

    async def work():
        told = asyncio.get_running_loop().create_future()
        engine = Engine(TableBackend(np.zeros((3, 4, 4))), fixed_exit(3, 3), PREPROCESSING)
        scheduler = Broken([engine], 2, 8)
        worker = Worker(scheduler, told.set_result)
        worker.add(scheduler, Journey(), numbered([0])[0], float("inf"))
        assert isinstance(await asyncio.wait_for(told, 10), ZeroDivisionError)

    asyncio.run(work())


def test_an_idle_thread_does_not_hang_after_a_pause_of_the_process(monkeypatch):
    async def work():
        scheduler = scheduler_of(1)
        worker = Worker(scheduler, lambda error: None)
        try:
            assert await answer(worker, scheduler) == 1
            real = time.monotonic
            monkeypatch.setattr(worker_module.time, "monotonic", lambda: real() + 100)
            assert worker.since_turn_s == 0
            assert await answer(worker, scheduler) == 1
        finally:
            await worker.close()

    asyncio.run(work())


def test_a_thread_that_takes_no_command_hangs():
    async def work():
        blocked = threading.Event()
        worker = Worker(scheduler_of(1), lambda error: None)
        try:
            worker._commands.put(lambda: blocked.wait(10) and None)
            await asyncio.sleep(0.1)
            worker.let_go()
            before = worker.since_turn_s
            await asyncio.sleep(0.3)
            assert worker.since_turn_s >= before + 0.2
        finally:
            blocked.set()
            await worker.close()

    asyncio.run(work())
