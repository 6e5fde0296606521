"""Throughput mode: images that continue wait for others, so that each stage runs full batches."""

from collections.abc import Iterable, Iterator

import numpy as np

from endoexit.errors import UsageError
from endoexit.runtime.engine import Engine, Images
from endoexit.runtime.pools import Pools
from endoexit.runtime.prediction import Prediction

WINDOW_BATCHES = 16


class Stream:
    """Answers a stream of images in its order, with a full batch at each stage where possible.

    Images that continue wait in `Pools` until the next stage has a full batch. Fewer than two
    batches wait for each stage. An image waits while at most `window` later ones come in; then
    it runs in a smaller batch. So waiting is bounded, and so is memory: at most `window`
    answers, and two batches of states for each stage.

    Args:
        engine: Engine without a deadline, as images wait for each other here.
        batch_size: Number of images in a full batch.
        window: Number of images that may be inside at the same time, by default 16 batches.

    Raises:
        UsageError: The engine has a deadline, or a number is too small.
    """

    def __init__(self, engine: Engine, batch_size: int, window: int | None = None) -> None:
        self._window = WINDOW_BATCHES * batch_size if window is None else window
        self._pools: Pools[int] = Pools(engine, batch_size, capacity=self._window)
        # Images are numbered as they come: these are the numbers of the next to come in and
        # of the next to be answered.
        self._taken = 0
        self._given = 0
        self._answers: dict[int, Prediction] = {}

    @property
    def inside(self) -> int:
        """Number of images taken in and not yet answered."""
        return self._taken - self._given

    def add(self, image: Images) -> list[Prediction]:
        """Take in one image, uint8 (S, S, 3); return the answers that are next in order."""
        self._pools.add(self._taken, image)
        self._taken += 1
        while (stage := self._pools.deepest_full()) is not None:
            self._answers |= self._pools.run(stage)
        ready = self._in_order()
        while self.inside >= self._window:
            self._answers |= self._pools.run(self._pools.stage_of(self._given))
            ready += self._in_order()
        return ready

    def flush(self) -> list[Prediction]:
        """Answer all images inside, without waiting for others."""
        # First stages first: images of several batches then share the batches that follow.
        for stage, _ in enumerate(self._pools.counts, start=1):
            while self._pools.counts[stage - 1]:
                self._answers |= self._pools.run(stage)
        return self._in_order()

    def _in_order(self) -> list[Prediction]:
        ready = []
        while (answer := self._answers.pop(self._given, None)) is not None:
            ready.append(answer)
            self._given += 1
        return ready


class BatchByBatch:
    """Collects images and predicts each full batch at once, for an engine with a deadline.

    Args:
        engine: Engine that predicts.
        batch_size: Number of images in a full batch.

    Raises:
        UsageError: The batch size is less than 1.
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
        """Number of images taken in and not yet answered."""
        return len(self._waiting)

    def add(self, image: Images) -> list[Prediction]:
        """Take in one image, uint8 (S, S, 3); return the answers once a batch is full."""
        self._waiting.append(image)
        return self.flush() if len(self._waiting) == self._batch_size else []

    def flush(self) -> list[Prediction]:
        """Answer all images inside, without waiting for others."""
        waiting, self._waiting = self._waiting, []
        return self._engine.predict(np.stack(waiting)) if waiting else []


def predict_stream(
    engine: Engine, images: Iterable[Images], batch_size: int
) -> Iterator[Prediction]:
    """Yield the answers for a stream of images, in its order, in throughput mode.

    Args:
        engine: Engine without a deadline.
        images: Images, uint8 (S, S, 3) each.
        batch_size: Number of images in a full batch.

    Raises:
        Exception: Whatever `images` raises, after the answers for all images before that.
    """
    stream = Stream(engine, batch_size)
    source = iter(images)
    broken: Exception | None = None
    while broken is None:
        try:
            image = next(source)
        except StopIteration:
            break
        except Exception as error:  # raised again below
            broken = error
        else:
            yield from stream.add(image)
    yield from stream.flush()
    if broken is not None:
        raise broken
