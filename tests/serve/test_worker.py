"""The engine's thread: models change between batches, and every image ends on its own."""

import asyncio

import numpy as np
from table_backend import PREPROCESSING, TableBackend, numbered

from endoexit.policy import fixed_exit
from endoexit.runtime.engine import Engine
from endoexit.serve.scheduler import Scheduler
from endoexit.serve.worker import Journey, Worker


def scheduler_of(label):
    """Return a scheduler whose answers all have this label."""
    logits = np.zeros((3, 4, 4), np.float32)
    logits[:, :, label] = 5
    return Scheduler(Engine(TableBackend(logits), fixed_exit(3, 3), PREPROCESSING), 2, 8)


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
