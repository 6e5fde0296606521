"""Pools: the images inside a network, by the stage that they wait for. They have no order."""

from collections import deque
from collections.abc import Sequence
from typing import Generic

import numpy as np

from endoexit.errors import DataError, UsageError
from endoexit.runtime.batch import Batch, StageResult, Ticket
from endoexit.runtime.engine import Engine, Images
from endoexit.runtime.prediction import Prediction


class Pools(Generic[Ticket]):
    """Keeps images before each stage until the caller runs a batch of them.

    The caller decides which stage runs and when. It knows its images by tickets, which may be
    anything hashable. Images of one pool run first come, first served. All images inside are in
    exactly one pool, and every image leaves the pools once: answered by `run`, or taken out by
    `remove`. One thread at a time may use a `Pools`.

    Args:
        engine: Engine without a deadline, as images wait for each other here.
        batch_size: Number of images in a full batch.
        capacity: Number of images that may be inside at the same time.

    Raises:
        UsageError: The engine has a deadline, or a number is too small.
    """

    def __init__(self, engine: Engine, batch_size: int, capacity: int) -> None:
        if engine.deadline_ms is not None:
            raise UsageError(
                "throughput mode lets images wait for each other, so it cannot keep a deadline: "
                "leave the deadline out, or predict batch by batch."
            )
        if batch_size < 1:
            raise UsageError(f"the batch size must be at least 1, got {batch_size}.")
        if capacity < batch_size:
            raise UsageError(f"there must be room for a batch of {batch_size}, got {capacity}.")
        engine.backend.expect(batch_size)
        self._engine = engine
        side = engine.preprocessing.size
        self._image_shape = (side, side, 3)
        self._batch_size = batch_size
        self._capacity = capacity
        # Images before stage 1 stay uint8 until they run.
        self._entering: deque[tuple[Ticket, Images]] = deque()
        # Item k − 1 is the pool before stage k; the one before stage 1 is never used.
        self._continuing: list[deque[Batch[Ticket]]] = [
            deque() for _ in range(engine.backend.num_stages)
        ]
        self._counts = [0] * engine.backend.num_stages
        self._stages: dict[Ticket, int] = {}

    def __len__(self) -> int:
        """Return the number of images inside."""
        return len(self._stages)

    def __contains__(self, ticket: Ticket) -> bool:
        """Return whether the image of a ticket is inside."""
        return ticket in self._stages

    @property
    def counts(self) -> tuple[int, ...]:
        """Numbers of images (M) that wait for each stage."""
        return tuple(self._counts)

    @property
    def is_full(self) -> bool:
        """Whether no other image may come in before one is answered or removed."""
        return len(self._stages) >= self._capacity

    def stage_of(self, ticket: Ticket) -> int:
        """Return the stage, 1 to M, that an image waits for.

        Raises:
            KeyError: No image with this ticket is inside.
        """
        return self._stages[ticket]

    def add(self, ticket: Ticket, image: Images) -> None:
        """Take in an image, uint8 (S, S, 3), which waits for stage 1.

        Raises:
            DataError: The image has another shape or type.
            ValueError: The pools are full (see `is_full`), or the ticket is inside already.
        """
        if image.shape != self._image_shape or image.dtype != np.uint8:
            raise DataError(
                f"an image must be a uint8 array {self._image_shape}, got {image.dtype} "
                f"{image.shape}: pass it through apply() of the preprocessing first."
            )
        if self.is_full:
            raise ValueError(f"the pools are full with {len(self)} images: run a stage first.")
        if ticket in self._stages:
            raise ValueError(f"an image with the ticket {ticket!r} is inside: use another one.")
        self._entering.append((ticket, image))
        self._stages[ticket] = 1
        self._counts[0] += 1

    def remove(self, ticket: Ticket) -> bool:
        """Take an image out; no later stage runs for it.

        Returns:
            Whether the image was inside.
        """
        stage = self._stages.pop(ticket, None)
        if stage is None:
            return False
        self._counts[stage - 1] -= 1
        if stage == 1:
            self._entering = deque(entry for entry in self._entering if entry[0] != ticket)
            return True
        self._split(stage, ticket)
        return True

    def deepest(self, at_least: int = 1) -> int | None:
        """Return the last stage for which that many images wait; None if there is none."""
        for stage in range(len(self._counts), 0, -1):
            if self._counts[stage - 1] >= at_least:
                return stage
        return None

    def deepest_full(self) -> int | None:
        """Return the last stage for which a full batch waits; None if there is none."""
        return self.deepest(self._batch_size)

    def promote(self, tickets: Sequence[Ticket]) -> None:
        """Move images that wait for one stage to the front of their pool, in this order.

        Raises:
            KeyError: No image with such a ticket is inside.
        """
        for ticket in reversed(tickets):
            self._promote(ticket, self._stages[ticket])

    def run(self, stage: int) -> dict[Ticket, Prediction]:
        """Run a stage on the images that have waited for it longest, at most a full batch.

        Stages that run as one run here together; see `Engine`.

        Returns:
            The answers of the images that exit, by ticket. The others wait for the next stage.
            Nothing if no image waits for this stage.

        Raises:
            Exception: Whatever the stage or the policy raises. The images of the batch are then
                no longer inside, and the others stay.
        """
        batch = self.take(stage)
        if batch is None:
            return {}
        result = self._engine.stride(batch)
        self.put(result)
        return self._engine.answers(result, result.exiting)

    def take(self, stage: int) -> Batch[Ticket] | None:
        """Take out the first images that wait for a stage, at most a full batch of them.

        Returns:
            The batch, for `Engine.step`; None if no image waits for this stage.
        """
        return self._first() if stage == 1 else self._next(stage)

    def put(self, result: StageResult[Ticket]) -> None:
        """Let the images of a batch that continue wait for the next stage."""
        if not result.continuing:
            return
        # Gathered even if all continue: this stage may run again before the next one does.
        continuing = self._engine.take(result.batch, np.flatnonzero(~result.exiting))
        stage = continuing.passed
        self._continuing[stage].append(continuing)
        self._counts[stage] += len(continuing)
        self._stages.update(dict.fromkeys(continuing.tickets, stage + 1))

    def _first(self) -> Batch[Ticket] | None:
        """Return up to a full batch of the images before stage 1, which leave their pool."""
        count = min(self._batch_size, len(self._entering))
        if count == 0:
            return None
        tickets, images = zip(*(self._entering.popleft() for _ in range(count)), strict=True)
        self._leave(1, tickets)
        return self._engine.enter(np.stack(images), tickets)

    def _next(self, stage: int) -> Batch[Ticket] | None:
        """Return up to a full batch of the images before a later stage, which leave their pool."""
        pool, room = self._continuing[stage - 1], self._batch_size
        chosen: list[Batch[Ticket]] = []
        while pool and room:
            batch = pool.popleft()
            if len(batch) > room:
                pool.appendleft(self._engine.take(batch, np.arange(room, len(batch))))
                batch = self._engine.take(batch, np.arange(room))
            chosen.append(batch)
            room -= len(batch)
            self._leave(stage, batch.tickets)
        return self._engine.join(chosen) if chosen else None

    def _promote(self, ticket: Ticket, stage: int) -> None:
        if stage > 1:
            self._continuing[stage - 1].appendleft(self._split(stage, ticket))
            return
        place = next(place for place, entry in enumerate(self._entering) if entry[0] == ticket)
        entry = self._entering[place]
        del self._entering[place]
        self._entering.appendleft(entry)

    def _split(self, stage: int, ticket: Ticket) -> Batch[Ticket]:
        """Return the image of a ticket as a batch, which is no longer in its later pool."""
        pool = self._continuing[stage - 1]
        index = next(index for index, batch in enumerate(pool) if ticket in batch.tickets)
        batch = pool[index]
        row = batch.tickets.index(ticket)
        rest = np.delete(np.arange(len(batch)), row)
        if len(rest):
            pool[index] = self._engine.take(batch, rest)
        else:
            del pool[index]
        return self._engine.take(batch, np.array([row]))

    def _leave(self, stage: int, tickets: Sequence[Ticket]) -> None:
        self._counts[stage - 1] -= len(tickets)
        for ticket in tickets:
            del self._stages[ticket]
