"""What happens to images inside: who is answered first, what is cut, what a fault costs."""

import asyncio
import contextlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from servers import png
from table_backend import TableBackend

from endoexit.images.preprocessing import Preprocessing
from endoexit.policy import threshold_policy
from endoexit.runtime.engine import Engine
from endoexit.runtime.session import Session
from endoexit.serve.answers import Answered, ExitAnswer
from endoexit.serve.model import Model
from endoexit.serve.problems import Problem
from endoexit.serve.scheduler import Scheduler
from endoexit.serve.service import Service
from endoexit.serve.settings import Limits, Settings
from endoexit.serve.worker import Worker

EXITS = 3
NEVER = 1e9


class SlowBackend(TableBackend):
    """Waits in each stage; hangs while it is told to."""

    stage_s = 0.0

    def run(self, number, state):
        import time

        time.sleep(self.stage_s)
        return super().run(number, state)


def images_that_exit_at(exits):
    """Return PNGs and logits: image i carries its number and exits at `exits[i]`."""
    logits = np.zeros((EXITS, len(exits), 4), np.float32)
    for image, exit_ in enumerate(exits):
        logits[exit_ - 1 :, image, image % 4] = 9
    pixels = np.zeros((len(exits), 8, 8, 3), np.uint8)
    pixels[:, 0, 1, :] = np.arange(len(exits))[:, None]
    return [png(square) for square in pixels], logits


@contextlib.asynccontextmanager
async def running(logits, stage_s=0.0, **limits):
    """Yield a service whose network looks its answers up."""
    values = {"images_inside": 16} | limits
    options = Settings(batch_size=4, decoders=1, limits=Limits(**values))
    service = Service(Path("none"), options)
    await service.decoders.start()
    backend = SlowBackend(logits)
    engine = Engine(backend, threshold_policy(EXITS, 0.9), Preprocessing(size=8))
    source = SimpleNamespace(classes=tuple("abcd"), weights_sha256="0" * 64)
    session = Session(source, backend.precision, results=Path("none"))
    scheduler = Scheduler(
        [engine], 4, options.limits.images_inside, observe=service.metrics.observe_stage
    )
    service.worker = Worker(scheduler, service.die)
    service.use(Model("table", session, engine, scheduler, None))
    service.state = "ready"
    await service.decoders.decode(png(np.zeros((8, 8, 3), np.uint8)), engine.preprocessing)
    backend.stage_s = stage_s
    try:
        yield service, backend
    finally:
        await service.close()


async def events(service, contents, seconds=NEVER, **options):
    model, _ = service.accepting()
    slot = service.gate.enter("test", sum(map(len, contents)), NEVER)
    deadline = asyncio.get_running_loop().time() + min(seconds, 60)
    try:
        async for event in service.answers(model, contents, slot, deadline, **options):
            yield event
    finally:
        service.gate.close(slot)


async def answers(*request, **options):
    return [event async for event in events(*request, **options)]


def balance(service):
    value = service.metrics.registry.get_sample_value
    ended = {
        ending: value("endoexit_images_total", {"outcome": ending})
        for ending in ("answered", "cut", "failed", "cancelled")
    }
    accepted, inside = value("endoexit_accepted_images_total"), value("endoexit_inside_images")
    assert accepted == sum(ended.values()) + inside
    return {**ended, "inside": inside}


def test_an_image_of_exit_1_is_answered_before_one_of_the_last_that_came_first():
    contents, logits = images_that_exit_at([3, 1])

    async def work():
        ended = []

        async def ask(number):
            (result,) = await answers(service, [contents[number]])
            ended.append((number, result.exit))

        async with running(logits, stage_s=0.2) as (service, _):
            first = asyncio.create_task(ask(0))
            await asyncio.sleep(0.1)
            await asyncio.gather(first, ask(1))
        assert ended == [(1, 1), (0, 3)]

    asyncio.run(work())


def test_images_of_different_requests_share_batches():
    contents, logits = images_that_exit_at([3] * 4)

    async def work():
        async with running(logits, stage_s=0.05) as (service, backend):
            await asyncio.gather(*(answers(service, [content]) for content in contents))
            assert max(len(images) for stage, images in backend.calls if stage == 3) > 1

    asyncio.run(work())


def test_what_every_exit_says_comes_before_the_answer():
    contents, logits = images_that_exit_at([3])

    async def work():
        async with running(logits) as (service, _):
            events = await answers(service, contents, every_exit=True)
        assert [(type(event), event.exit) for event in events] == [
            (ExitAnswer, 1), (ExitAnswer, 2), (Answered, 3),
        ]  # fmt: skip
        assert events[-1].ms.stages[0] >= 0

    asyncio.run(work())


def test_at_the_deadline_the_last_finished_exit_answers_though_a_stage_runs():
    contents, logits = images_that_exit_at([3])

    async def work():
        loop = asyncio.get_running_loop()
        async with running(logits, stage_s=1) as (service, _):
            begin = loop.time()
            (result,) = await answers(service, contents, seconds=1.5)
            assert loop.time() - begin < 1.9  # not when stage 2 ends
            assert (result.deadline, result.exit) == ("cut", 1)
            assert balance(service)["cut"] == 1

    asyncio.run(work())


def test_without_an_answer_of_exit_1_the_deadline_is_missed():
    contents, logits = images_that_exit_at([1])

    async def work():
        async with running(logits, stage_s=0.5) as (service, _):
            (result,) = await answers(service, contents, seconds=0.2)
            assert result.error.code == "deadline.missed"
            assert balance(service)["failed"] == 1

    asyncio.run(work())


@pytest.mark.parametrize("stage", [1, 3])
def test_logits_that_are_not_finite_fail_one_image_and_nothing_else(stage):
    contents, logits = images_that_exit_at([3] * 6)
    logits[stage - 1, 2] = np.nan

    async def work():
        async with running(logits) as (service, _):
            results = await answers(service, contents)
            failed = {
                result.index: result.error.code for result in results if result.status == "failed"
            }
            assert failed == {2: "image.no_answer"}
            assert balance(service) == {
                "answered": 5, "cut": 0, "failed": 1, "cancelled": 0, "inside": 0,
            }  # fmt: skip
            assert len(await answers(service, contents[:2])) == 2

    asyncio.run(work())


def test_more_images_than_places_wait_for_their_turn():
    contents, logits = images_that_exit_at([2] * 12)

    async def work():
        async with running(logits, images_inside=4) as (service, _):
            results = await answers(service, contents)
            assert sorted(result.index for result in results) == list(range(12))
            assert all(result.status == "answered" for result in results)

    asyncio.run(work())


def test_an_engine_that_ends_ends_the_service():
    _, logits = images_that_exit_at([1])

    async def work():
        async with running(logits) as (service, _):
            service.worker._commands.put(lambda: 1 / 0)
            await asyncio.wait_for(service.ended.wait(), 10)
            assert service.state == "failed"
            with pytest.raises(Problem, match="dead"):
                service.accepting()

    asyncio.run(work())


def test_stopping_answers_all_with_what_is_known():
    contents, logits = images_that_exit_at([3, 3])

    async def work():
        async with running(logits, stage_s=0.5) as (service, _):
            results = []
            async for event in events(service, contents, every_exit=True):
                if type(event) is ExitAnswer:  # the last exit is a second away
                    service.closed = True
                    service.worker.let_go()
                else:
                    results.append(event)
            assert len(results) == len(contents)
            assert {result.deadline for result in results if result.status == "answered"} == {"cut"}
            with pytest.raises(Problem, match="draining"):
                service.accepting()

    asyncio.run(work())


@settings(max_examples=8, deadline=None)
@given(
    plan=st.lists(
        st.tuples(
            st.lists(st.integers(0, 7), min_size=1, max_size=4),  # images
            st.sampled_from([0.0, 0.005, 0.03, 60.0]),  # deadline
            st.sampled_from([None, None, 0.0, 0.01]),  # the client hangs up after so long
        ),
        min_size=1,
        max_size=12,
    )
)
def test_every_image_has_one_end_whatever_happens(plan):
    contents, logits = images_that_exit_at([1, 2, 3, 3, 2, 1, 3, 3])
    logits[1, 4] = np.nan
    contents[5] = contents[5][:60]  # cut off

    async def work():
        async with running(logits, stage_s=0.004) as (service, _):

            async def request(chosen, seconds, patience):
                asking = answers(service, [contents[place] for place in chosen], seconds)
                with contextlib.suppress(TimeoutError, Problem):
                    results = await asyncio.wait_for(asking, patience)
                    assert sorted(each.index for each in results) == list(range(len(chosen)))

            await asyncio.gather(*(request(*each) for each in plan))
            assert balance(service)["inside"] == service.gate.images == 0
            assert service.gate._bytes == 0
            assert not service.gate._clients

    asyncio.run(work())
