"""Throughput mode: images that go on wait for others, so that every stage runs a full batch."""

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np

from endoexit.errors import UsageError
from endoexit.runtime.engine import Engine, Group, Images, Prediction

WINDOW_BATCHES = 16


class Stream:
    """Pools the survivors of several batches until the next stage has a full batch.

    Answers come in the order of the images. At each stage fewer than two batches wait, and no
    image waits while more than `window` later ones come in: then its pool runs with fewer
    than a full batch. So memory is bounded (at most `window` answers and two batches of
    states a stage), and so is waiting.

    Args:
        engine: without a deadline, as images wait for each other here.
        batch_size: images of a full batch.
        window: how many images may be inside at once, by default 16 batches.

    Raises:
        UsageError: the engine has a deadline, or a number is too small.
    """

    def __init__(self, engine: Engine, batch_size: int, window: int | None = None) -> None:
        if engine.deadline_ms is not None:
            raise UsageError(
                "throughput mode lets images wait for each other, so it cannot keep a deadline: "
                "leave the deadline out, or predict batch by batch."
            )
        if batch_size < 1:
            raise UsageError(f"the batch size must be at least 1, got {batch_size}.")
        window = WINDOW_BATCHES * batch_size if window is None else window
        if window < batch_size:
            raise UsageError(f"the window must hold a batch of {batch_size}, got {window}.")
        engine.backend.expect(batch_size)
        self._engine = engine
        self._batch_size = batch_size
        self._window = window
        self._entering: list[Images] = []
        # Whoever waits for stage k + 1. Batches are taken from the front, so each pool is in
        # the order of tickets, and all of a deeper pool came before all of a shallower one.
        self._pools: list[deque[Group]] = [deque() for _ in range(engine.backend.num_stages)]
        self._answers: dict[int, Prediction] = {}
        self._taken = 0
        self._given = 0

    @property
    def inside(self) -> int:
        """Number of images taken in whose answer was not given back yet."""
        return self._taken - self._given

    def add(self, image: Images) -> list[Prediction]:
        """Take in one image, uint8 (S, S, 3); return the answers that are next in order."""
        self._entering.append(image)
        self._taken += 1
        if len(self._entering) == self._batch_size:
            self._enter()
        while (stage := self._deepest(self._batch_size)) is not None:
            self._run(stage)
        ready = self._in_order()
        while self.inside >= self._window and (stage := self._deepest(1)) is not None:
            self._run(stage)  # the oldest image inside is in the deepest pool
            ready += self._in_order()
        return ready

    def flush(self) -> list[Prediction]:
        """Answer all images inside, without waiting for others."""
        # Shallow stages first: the survivors of all of them share the batches that follow.
        self._enter()
        for stage in range(len(self._pools)):
            while self._pools[stage]:
                self._run(stage)
        return self._in_order()

    def _deepest(self, images: int) -> int | None:
        """Return the deepest pool in which at least that many wait; None if there is none."""
        for stage in reversed(range(len(self._pools))):
            if sum(map(len, self._pools[stage])) >= images:
                return stage
        return None

    def _enter(self) -> None:
        if self._entering:
            first = self._taken - len(self._entering)
            tickets = np.arange(first, self._taken)
            self._pools[0].append(self._engine.enter(np.stack(self._entering), tickets))
            self._entering = []

    def _run(self, stage: int) -> None:
        """Run up to a batch from the front of one pool; survivors go to the next pool."""
        step = self._engine.step(self._batch(self._pools[stage]))
        self._answers |= self._engine.answers(step, step.leaving)
        if step.staying:
            # Gathered even when all stay: the stage may run again before they do.
            staying = self._engine.take(step.group, np.flatnonzero(~step.leaving))
            self._pools[stage + 1].append(staying)

    def _batch(self, pool: deque[Group]) -> Group:
        chosen: list[Group] = []
        room = self._batch_size
        while pool and room:
            group = pool.popleft()
            if len(group) > room:
                pool.appendleft(self._engine.take(group, np.arange(room, len(group))))
                group = self._engine.take(group, np.arange(room))
            chosen.append(group)
            room -= len(group)
        return self._engine.join(chosen)

    def _in_order(self) -> list[Prediction]:
        ready = []
        while (answer := self._answers.pop(self._given, None)) is not None:
            ready.append(answer)
            self._given += 1
        return ready


class Batches:
    """Collects images into batches and predicts each at once: for an engine with a deadline.

    Args:
        engine: any.
        batch_size: images of a batch.

    Raises:
        UsageError: the batch size is less than 1.
    """

    def __init__(self, engine: Engine, batch_size: int) -> None:
        if batch_size < 1:
            raise UsageError(f"the batch size must be at least 1, got {batch_size}.")
        engine.backend.expect(batch_size)
        self._engine = engine
        self._batch_size = batch_size
        self._waiting: list[Images] = []

    @property
    def inside(self) -> int:
        """Number of images that wait for their batch."""
        return len(self._waiting)

    def add(self, image: Images) -> list[Prediction]:
        """Take in one image, uint8 (S, S, 3); return the answers once a batch is full."""
        self._waiting.append(image)
        return self.flush() if len(self._waiting) == self._batch_size else []

    def flush(self) -> list[Prediction]:
        """Answer the images that wait."""
        waiting, self._waiting = self._waiting, []
        return self._engine.predict(np.stack(waiting)) if waiting else []


def predict_stream(
    engine: Engine, images: Iterable[Images], batch_size: int
) -> Iterator[Prediction]:
    """Yield the answers for a stream of images, in its order, in throughput mode.

    Args:
        engine: without a deadline.
        images: uint8 (S, S, 3) each.
        batch_size: images of a full batch.

    Raises:
        Exception: whatever the stream breaks off with, after the answers for all images that
            had come before.
    """
    stream = Stream(engine, batch_size)
    source = iter(images)
    broken: Exception | None = None
    while broken is None:
        try:
            image = next(source)
        except StopIteration:
            break
        except Exception as error:  # whatever it is, it is raised again below
            broken = error
        else:
            yield from stream.add(image)
    yield from stream.flush()
    if broken is not None:
        raise broken
