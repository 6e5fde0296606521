"""Which stage runs next, when images of many requests wait at all stages, with deadlines."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal

import numpy as np

from endoexit.errors import EndoexitError
from endoexit.runtime.backends.sizes import WARM_UP_RUNS, sizes_up_to
from endoexit.runtime.batch import StageResult, Ticket
from endoexit.runtime.engine import Engine, Images
from endoexit.runtime.forecast import StageTimes
from endoexit.runtime.pools import Pools
from endoexit.runtime.prediction import Prediction
from endoexit.serve.job import Job, Ran

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
    """Decides which stage runs next on which images of many requests.

    `begin` takes a batch out as a job for an engine that is free, any thread runs the job, and
    `finish` says what became of its images. `step` does all three. What runs next:

    1. The stage of the image that must start now, by its deadline and the forecast of a full
       batch. Such images are the first of their batch.
    2. The last stage for which a full batch waits.
    3. The last stage for which an image has waited `max_wait_s`. While full batches come without
       end, the stage of the image that waited longest runs after every M of them.
    4. Else the first stage for which an image waits. A lone image therefore never waits.

    An image whose next stage cannot end before its deadline gets the answer of its last exit.
    One thread at a time may use a scheduler.

    Args:
        engines: Engines without a deadline, of the same network and policy: as many batches may
            run at the same time.
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
        engines: Sequence[Engine],
        batch_size: int,
        capacity: int,
        *,
        max_wait_s: float = 0.005,
        clock: Callable[[], float] = time.monotonic,
        observe: Callable[[int, int, float], None] | None = None,
    ) -> None:
        self._engines = tuple(engines)
        self._free = list(self._engines)
        self._engine = engines[0]
        for other in engines[1:]:
            other.backend.expect(batch_size)
        self._pools: Pools[Ticket] = Pools(self._engine, batch_size, capacity)
        self._stages = self._engine.backend.num_stages
        self._batch_size = batch_size
        self._max_wait_s = max_wait_s
        self._clock = clock
        self._observe = observe
        self._waiting: dict[Ticket, _Inside] = {}
        self._running: dict[Ticket, _Inside] = {}
        self._times = StageTimes()
        self._last_run = [float("-inf")] * self._stages
        self._full_in_a_row = 0

    def __len__(self) -> int:
        """Return the number of images inside: those that wait, and those that run."""
        return len(self._waiting) + len(self._running)

    @property
    def can_begin(self) -> bool:
        """Whether an image waits and an engine is free."""
        return bool(self._waiting and self._free)

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
        """Run every stage on black images, in batches of several sizes, so that times are known."""
        side = self._engine.preprocessing.size
        for engine in self._engines:
            for images in sizes_up_to(self._batch_size, engine.backend.threads):
                black = np.zeros((images, side, side, 3), dtype=np.uint8)
                for _ in range(WARM_UP_RUNS):
                    batch = engine.enter(black, range(images))
                    for stage in self._numbers:
                        begin = self._clock()
                        engine.step(batch)
                        self._note(stage, images, begin, self._clock())

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
        if ticket in self._running:
            raise ValueError(f"an image with the ticket {ticket!r} is inside: use another one.")
        self._pools.add(ticket, image)
        self._waiting[ticket] = _Inside(deadline, self._clock())

    def cancel(self, ticket: Ticket) -> bool:
        """Take an image out, before its next stage; return whether it was inside."""
        self._pools.remove(ticket)
        was_running = self._running.pop(ticket, None) is not None
        return self._waiting.pop(ticket, None) is not None or was_running

    def step(self) -> list[Outcome[Ticket]]:
        """Let go of the images that are out of time, and run one batch of one stage."""
        outcomes = self.out_of_time()
        job = self.begin()
        if job is None:
            return outcomes
        job.run()
        return outcomes + self.finish(job)

    def out_of_time(self) -> list[Outcome[Ticket]]:
        """Let go of the images that wait for a stage that cannot end before their deadline."""
        now = self._clock()
        needs = [0.0] * self._stages  # of stage 1 no time: an image needs an answer at least
        for stage in self._numbers[1:]:
            if now - self._last_run[stage - 1] < RETRY_S:
                needs[stage - 1] = self._forecast_s(stage, 1)
        late = [
            ticket
            for ticket, image in self._waiting.items()
            if now + needs[self._pools.stage_of(ticket) - 1] >= image.deadline
        ]
        return [self._let_go(ticket) for ticket in late]

    def begin(self) -> Job[Ticket] | None:
        """Take out the batch that runs next; None if no image waits, or no engine is free."""
        stage = self._choose() if self._free else None
        batch = None if stage is None else self._pools.take(stage)
        if batch is None:
            return None
        for ticket in batch.tickets:
            self._running[ticket] = self._waiting.pop(ticket)
        return Job(self._free.pop(), batch, self._clock)

    def finish(self, job: Job[Ticket]) -> list[Outcome[Ticket]]:
        """Return what became of the images of a job that has run; the others wait again."""
        self._free.append(job.engine)
        return [outcome for ran in job.ran for outcome in self._outcomes(ran)]

    def stop(self) -> list[Outcome[Ticket]]:
        """Let go of all images: with the answer of their last exit, or as failed."""
        return [self._let_go(ticket) for ticket in [*self._waiting, *self._running]]

    @property
    def _numbers(self) -> range:
        return range(1, self._stages + 1)

    def _forecast_s(self, stage: int, images: int) -> float:
        return (self._times.forecast(stage, images) or 0.0) / 1000

    def _let_go(self, ticket: Ticket) -> Outcome[Ticket]:
        image = (self._waiting if ticket in self._waiting else self._running).pop(ticket)
        self._pools.remove(ticket)
        if image.last is not None:
            return Outcome(ticket, "cut", image.last)
        return Outcome(
            ticket, "failed", error=DeadlineError("no exit answered before the deadline.")
        )

    def _choose(self) -> int | None:
        if not self._waiting:
            return None
        now = self._clock()
        urgent = self._urgent(now)
        if urgent is not None:
            return urgent
        oldest = min(self._waiting, key=lambda ticket: self._waiting[ticket].since)
        overdue = now - self._waiting[oldest].since >= self._max_wait_s
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
                for ticket, image in self._waiting.items()
                if now - image.since >= self._max_wait_s
            )
        return next(stage for stage, count in enumerate(self.counts, start=1) if count)

    def _urgent(self, now: float) -> int | None:
        """Return the stage of the image that must start now, if there is one."""
        needs = [self._forecast_s(stage, self._batch_size) for stage in self._numbers]
        latest = {  # moment at which the next stage of an image must start
            ticket: image.deadline - needs[self._pools.stage_of(ticket) - 1]
            for ticket, image in self._waiting.items()
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

    def _outcomes(self, ran: Ran[Ticket]) -> list[Outcome[Ticket]]:
        """Return what became of the images that ran together and are still inside."""
        if ran.result is None:
            gone = self._running.pop(ran.tickets[0], None) is None
            return [] if gone else [Outcome(ran.tickets[0], "failed", error=ran.error)]
        self._note(ran.result.batch.passed, len(ran.tickets), ran.begin, ran.end)
        result = self._still_inside(ran.result)
        self._pools.put(result)
        now = self._clock()
        outcomes: list[Outcome[Ticket]] = []
        for ticket, exits in zip(result.batch.tickets, result.exiting, strict=True):
            image, prediction = self._running.pop(ticket), ran.answers[ticket]
            if exits:
                outcomes.append(Outcome(ticket, "answered", prediction))
            else:
                image.since, image.last = now, prediction
                self._waiting[ticket] = image
                outcomes.append(Outcome(ticket, "passed", prediction))
        return outcomes

    def _still_inside(self, result: StageResult[Ticket]) -> StageResult[Ticket]:
        """Return a result without the images that were cancelled while it was computed."""
        rows = np.flatnonzero([ticket in self._running for ticket in result.batch.tickets])
        if len(rows) == len(result.batch):
            return result
        batch, exiting = self._engine.take(result.batch, rows), result.exiting[rows]
        return StageResult(batch, result.logits[rows], exiting, int((~exiting).sum()))

    def _note(self, stage: int, images: int, begin: float, end: float) -> None:
        """Note how long a stage took."""
        self._times.record(stage, images, (end - begin) * 1000)
        self._last_run[stage - 1] = end
        if self._observe is not None:
            self._observe(stage, images, end - begin)
