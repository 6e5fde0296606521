"""Which stage runs next, when images of many requests wait at all stages, with deadlines."""

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import Generic, Literal, TypeVar

import numpy as np

from endoexit.errors import EndoexitError
from endoexit.runtime.engine import Batch, Engine, Images, Prediction, StageResult, Ticket
from endoexit.runtime.forecast import StageTimes
from endoexit.runtime.pools import Pools

AnyTicket = TypeVar("AnyTicket", bound=Hashable)

WARM_UP_RUNS = 3
# A stage is tried again so many seconds after its last run, whatever its forecast: forecasts
# from a moment when the machine was slow would otherwise never be corrected.
RETRY_S = 1.0


class DeadlineError(EndoexitError):
    """The deadline of an image was over before exit 1 answered."""


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Ticket]):
    """What happened to one image.

    Attributes:
        ticket: Name of the image.
        kind: Kind of the event: "passed" for an image that continues after an exit, all others
            are its end: "answered", "cut" by its deadline, or "failed".
        prediction: Answer of the last exit; None for an image that failed.
        error: Reason of the failure; None for the others.
    """

    ticket: Ticket
    kind: Literal["passed", "answered", "cut", "failed"]
    prediction: Prediction | None = None
    error: Exception | None = None

    @property
    def is_last(self) -> bool:
        """Whether the image is no longer inside."""
        return self.kind != "passed"


@dataclass(slots=True)
class _Inside:
    """An image inside: its deadline, since when it waits for its stage, its last exit's answer."""

    deadline: float
    since: float
    last: Prediction | None = None


class Scheduler(Generic[Ticket]):
    """Runs the images of many requests through one engine, a batch of one stage at a time.

    What runs next:

    1. The stage of the image that must start now, by its deadline and the forecast of a full
       batch. Such images are the first of their batch.
    2. The last stage for which a full batch waits.
    3. The last stage for which an image has waited `max_wait_s`. While full batches come without
       end, the stage of the image that waited longest runs after every M of them.
    4. Else the first stage for which an image waits. A lone image therefore never waits.

    An image whose next stage cannot end before its deadline gets the answer of its last exit.
    A batch that raises is run again image by image. One thread at a time may use a scheduler.

    Args:
        engine: Engine without a deadline.
        batch_size: Number of images of a full batch.
        capacity: Number of images that may be inside at the same time.
        max_wait_s: Seconds that an image waits for others while there is other work.
        clock: Function that returns the seconds since any fixed moment.
        observe: Function that is called after each batch with its stage, images and seconds.

    Raises:
        UsageError: The engine has a deadline, or a number is too small.
    """

    def __init__(
        self,
        engine: Engine,
        batch_size: int,
        capacity: int,
        *,
        max_wait_s: float = 0.005,
        clock: Callable[[], float] = time.monotonic,
        observe: Callable[[int, int, float], None] | None = None,
    ) -> None:
        self._engine = engine
        self._pools: Pools[Ticket] = Pools(engine, batch_size, capacity)
        self._stages = engine.backend.num_stages
        self._batch_size = batch_size
        self._max_wait_s = max_wait_s
        self._clock = clock
        self._observe = observe
        self._inside: dict[Ticket, _Inside] = {}
        self._times = StageTimes()
        self._last_run = [float("-inf")] * self._stages
        self._full_in_a_row = 0

    def __len__(self) -> int:
        """Return the number of images inside."""
        return len(self._pools)

    @property
    def counts(self) -> tuple[int, ...]:
        """Numbers of images (M) that wait for each stage."""
        return self._pools.counts

    @property
    def images_per_second(self) -> float:
        """Images that the whole network is forecast to run in a second, in full batches."""
        whole = sum(self._forecast_s(stage, self._batch_size) for stage in self._numbers)
        return self._batch_size / whole if whole else float("inf")

    def warm_up(self) -> None:
        """Run every stage on black images, alone and as a full batch, so that times are known."""
        side = self._engine.preprocessing.size
        for images in sorted({1, self._batch_size}):
            black = np.zeros((images, side, side, 3), dtype=np.uint8)
            for _ in range(WARM_UP_RUNS):
                batch = self._engine.enter(black, range(images))
                for _ in self._numbers:
                    self._timed(batch)

    def add(self, ticket: Ticket, image: Images, deadline: float = float("inf")) -> None:
        """Take in an image, uint8 (S, S, 3).

        Args:
            ticket: Name of the image.
            image: Square from the preprocessing.
            deadline: Time, on the clock, at which it must be answered.

        Raises:
            DataError: The image has another shape or type.
            ValueError: The scheduler is full, or the ticket is inside already.
        """
        self._pools.add(ticket, image)
        self._inside[ticket] = _Inside(deadline, self._clock())

    def cancel(self, ticket: Ticket) -> bool:
        """Take an image out, before its next stage; return whether it was inside."""
        self._inside.pop(ticket, None)
        return self._pools.remove(ticket)

    def step(self) -> list[Outcome[Ticket]]:
        """Let go of the images that are out of time, and run one batch of one stage."""
        outcomes = self._out_of_time()
        stage = self._choose()
        batch = None if stage is None else self._pools.take(stage)
        return outcomes if batch is None else outcomes + self._run(batch)

    def stop(self) -> list[Outcome[Ticket]]:
        """Let go of all images: with the answer of their last exit, or as failed."""
        return [self._let_go(ticket) for ticket in list(self._inside)]

    @property
    def _numbers(self) -> range:
        return range(1, self._stages + 1)

    def _forecast_s(self, stage: int, images: int) -> float:
        return (self._times.forecast(stage, images) or 0.0) / 1000

    def _out_of_time(self) -> list[Outcome[Ticket]]:
        now = self._clock()
        needs = [0.0] * self._stages  # of stage 1 no time: an image needs an answer at least
        for stage in self._numbers[1:]:
            if now - self._last_run[stage - 1] < RETRY_S:
                needs[stage - 1] = self._forecast_s(stage, 1)
        late = [
            ticket
            for ticket, image in self._inside.items()
            if now + needs[self._pools.stage_of(ticket) - 1] >= image.deadline
        ]
        return [self._let_go(ticket) for ticket in late]

    def _let_go(self, ticket: Ticket) -> Outcome[Ticket]:
        image = self._inside.pop(ticket)
        self._pools.remove(ticket)
        if image.last is not None:
            return Outcome(ticket, "cut", image.last)
        return Outcome(
            ticket, "failed", error=DeadlineError("no exit answered before the deadline.")
        )

    def _choose(self) -> int | None:
        if not self._inside:
            return None
        now = self._clock()
        urgent = self._urgent(now)
        if urgent is not None:
            return urgent
        oldest = min(self._inside, key=lambda ticket: self._inside[ticket].since)
        overdue = now - self._inside[oldest].since >= self._max_wait_s
        full = self._pools.deepest_full()
        if full is not None:
            self._full_in_a_row += 1
            if not overdue or self._full_in_a_row <= self._stages:
                return full
            self._full_in_a_row = 0
            return self._pools.stage_of(oldest)
        self._full_in_a_row = 0
        if overdue:
            return max(
                self._pools.stage_of(ticket)
                for ticket, image in self._inside.items()
                if now - image.since >= self._max_wait_s
            )
        return next(stage for stage, count in enumerate(self.counts, start=1) if count)

    def _urgent(self, now: float) -> int | None:
        """Return the stage of the image that must start now, if there is one."""
        needs = [self._forecast_s(stage, self._batch_size) for stage in self._numbers]
        latest = {  # moment at which the next stage of an image must start
            ticket: image.deadline - needs[self._pools.stage_of(ticket) - 1]
            for ticket, image in self._inside.items()
        }
        first = min(latest, key=latest.__getitem__)
        # Whatever runs instead takes as long as the longest stage: after it, it would be too late.
        if latest[first] - now > max(needs):
            return None
        stage = self._pools.stage_of(first)
        if self.counts[stage - 1] > self._batch_size:
            waiting = [ticket for ticket in latest if self._pools.stage_of(ticket) == stage]
            waiting.sort(key=latest.__getitem__)
            self._pools.promote(waiting[: self._batch_size])
        return stage

    def _run(self, batch: Batch[Ticket]) -> list[Outcome[Ticket]]:
        try:
            # A copy: the arrays are the same, but `batch` keeps its state for a second run.
            result = self._timed(replace(batch))
            answers = self._engine.answers(result, np.ones_like(result.exiting))
        except Exception as error:  # of any kind: the guilty image is found, the others continue
            if len(batch) == 1:
                (ticket,) = batch.tickets
                del self._inside[ticket]
                return [Outcome(ticket, "failed", error=error)]
            alone = (self._engine.take(batch, np.array([row])) for row in range(len(batch)))
            return [outcome for single in alone for outcome in self._run(single)]
        self._pools.put(result)
        now = self._clock()
        outcomes: list[Outcome[Ticket]] = []
        for (ticket, prediction), exits in zip(answers.items(), result.exiting, strict=True):
            if exits:
                del self._inside[ticket]
                outcomes.append(Outcome(ticket, "answered", prediction))
            else:
                image = self._inside[ticket]
                image.since, image.last = now, prediction
                outcomes.append(Outcome(ticket, "passed", prediction))
        return outcomes

    def _timed(self, batch: Batch[AnyTicket]) -> StageResult[AnyTicket]:
        """Run the next stage on a batch, and note how long it took."""
        stage, begin = batch.passed + 1, self._clock()
        result = self._engine.step(batch)
        end = self._clock()
        self._times.record(stage, len(batch), (end - begin) * 1000)
        self._last_run[stage - 1] = end
        if self._observe is not None:
            self._observe(stage, len(batch), end - begin)
        return result
