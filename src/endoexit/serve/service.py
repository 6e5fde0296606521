"""One running service: its state, its model, and what happens to an image."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from endoexit.errors import EndoexitError
from endoexit.runtime.prediction import Prediction
from endoexit.serve.answers import (
    Answered,
    ExitAnswer,
    Referred,
    Result,
    answered,
    exit_answer,
    not_answered,
)
from endoexit.serve.attention import Attention, open_attention
from endoexit.serve.audit import AuditLog
from endoexit.serve.decoders import Decoders
from endoexit.serve.drift import Shift
from endoexit.serve.gate import Gate, Rate, Slot
from endoexit.serve.metrics import Ending, Metrics
from endoexit.serve.model import Model, open_model
from endoexit.serve.problems import Problem
from endoexit.serve.refusals import Refusals
from endoexit.serve.scheduler import DeadlineError, Outcome
from endoexit.serve.settings import Limits, Settings
from endoexit.serve.tokens import Tokens, read_tokens
from endoexit.serve.tracing import RequestTrace, Tracing
from endoexit.serve.worker import Journey, Worker

State = Literal["starting", "ready", "draining", "failed"]
Value = TypeVar("Value")
HUNG_S = 5.0

log = logging.getLogger("endoexit.serve")


@dataclass(frozen=True, slots=True)
class _Image:
    """One image of a request, and what its answer needs."""

    model: Model
    index: int
    content: bytes
    deadline: float
    frame: int | None
    on_exit: Callable[[Prediction], None] | None
    trace: RequestTrace | None


class Service:
    """Answers requests of any protocol.

    Args:
        source: Folder of the run or the bundle.
        settings: Settings of the service.

    Raises:
        UsageError: The tokens or the audit log cannot be used, or a library is missing.
    """

    def __init__(self, source: Path, settings: Settings) -> None:
        self.source = source
        self.settings = settings
        self.state: State = "starting"
        self.closed = False  # whether nothing more is accepted, in the end of a drain
        self.error: BaseException | None = None
        self.ended = asyncio.Event()
        self.metrics = Metrics()
        self.gate = Gate(settings.limits, self.metrics, Rate(float("inf")))
        self.refusals = Refusals()
        self.decoders = Decoders(settings.decoders, settings.limits, self.metrics, self.die)
        self.tokens: Tokens | None = None
        self.model: Model | None = None
        self.worker: Worker | None = None
        self.attention: Attention | None = None
        self.shift = Shift(None, (), 1, settings.drift_images, settings.drift_p_value)
        self.read_tokens()
        log_file = settings.audit_log
        self.audit = None if log_file is None else AuditLog(log_file, self.metrics)
        self.tracing = None if settings.otlp is None else Tracing(settings.otlp)

    def read_tokens(self) -> None:
        """Read the file of tokens, at the start and again when it changed."""
        file = self.settings.token_file
        self.tokens = None if file is None else read_tokens(file)

    def use_limits(self, limits: Limits) -> None:
        """Hold requests to other limits from now on."""
        self.settings = self.settings.replaced(limits=limits)
        self.gate.limits = self.decoders.limits = limits

    async def start(self) -> None:
        """Open and warm the model; after that the service is ready.

        Raises:
            EndoexitError: The model cannot be served.
        """
        opening = asyncio.to_thread(
            open_model, self.source, self.settings, self.metrics.observe_stage
        )
        model, _ = await asyncio.gather(opening, self.decoders.start())
        if self.settings.attention is not None:
            self.attention = await asyncio.to_thread(open_attention, self.settings.attention, model)
        self.worker = Worker(model.scheduler, self.die, self.settings.shares()[0])
        self.metrics.heartbeat.set_function(lambda: self.worker.since_turn_s if self.worker else 0)
        self.gate.rate.first = model.scheduler.images_per_second
        self.use(model)
        if self.state == "starting":
            self.state = "ready"
        log.info("ready: %s", model.identity)

    def use(self, model: Model) -> None:
        """Answer with a model from now on."""
        settings = self.settings
        if self.model is not None and self.model.identity["weights"] != model.identity["weights"]:
            self.attention = None  # it is of the weights before
        self.model = model
        self.shift = Shift(
            model.policy.calibrated,
            model.classes,
            model.exits,
            settings.drift_images,
            settings.drift_p_value,
        )
        self.metrics.model.info(model.identity)
        if self.worker is not None:
            self.metrics.follow(lambda: self.worker.counts if self.worker else (), model.exits)
        for label in model.classes:
            self.metrics.labels.labels(label)

    def die(self, error: BaseException) -> None:
        """End the service, as its engine has ended, or what hands images to those that decode."""
        self.state, self.error = "failed", error
        log.error("the service has failed", exc_info=error)
        self.ended.set()

    async def close(self) -> None:
        """End the engine and the processes that decode."""
        if self.worker is not None:
            await self.worker.close()
        await self.decoders.close()
        if self.audit is not None:
            self.audit.close()
        if self.tracing is not None:
            await asyncio.to_thread(self.tracing.close)

    @property
    def is_hung(self) -> bool:
        """Whether the engine has made no step for a long time."""
        return self.worker is not None and self.worker.since_turn_s > HUNG_S

    def accepting(self) -> tuple[Model, Worker]:
        """Return what answers a new request.

        Raises:
            Problem: The service is starting, about to end, or failed.
        """
        if self.state == "failed" or self.is_hung:
            raise Problem("dead")
        if self.closed:
            raise Problem("draining")
        if self.model is None or self.worker is None:
            raise Problem("starting", retry_after=1)
        return self.model, self.worker

    async def answers(
        self,
        model: Model,
        contents: list[bytes],
        slot: Slot,
        deadline: float,
        *,
        frame: int | None = None,
        every_exit: bool = False,
        trace: RequestTrace | None = None,
    ) -> AsyncGenerator[Result | ExitAnswer, None]:
        """Yield the answers for the images of a request, each as soon as it is known.

        The first image has its place in the slot; the others get theirs here. A caller that stops
        iterating cancels the rest.

        Args:
            model: Model that answers all of them.
            contents: Bytes of the images.
            slot: Place of the request.
            deadline: Time of the event loop at which all must be answered.
            frame: Frame of files that hold several; None to refuse these.
            every_exit: Whether to yield what each exit says, too.
            trace: Trace of the request.
        """
        events: asyncio.Queue[Result | ExitAnswer] = asyncio.Queue()

        def on_exit(index: int) -> Callable[[Prediction], None] | None:
            if not every_exit:
                return None
            return lambda seen: events.put_nowait(exit_answer(model, index, seen))

        async def one(index: int, content: bytes) -> None:
            image = _Image(model, index, content, deadline, frame, on_exit(index), trace)
            try:
                if index:
                    await _until(deadline, self.gate.more(slot))
                events.put_nowait(await self._counted(image, slot))
            except Problem as problem:
                events.put_nowait(not_answered(index, problem))
            except Exception:  # a bug: this image has no answer, the others have theirs
                log.exception("an image has no answer")
                events.put_nowait(not_answered(index, Problem("failed")))

        tasks = [asyncio.create_task(one(*pair)) for pair in enumerate(contents)]
        try:
            left = len(tasks)
            while left:
                event = await events.get()
                left -= type(event) is not ExitAnswer
                yield event
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _counted(self, image: "_Image", slot: Slot) -> Answered | Referred:
        ending: Ending = "failed"
        try:
            result = await self._answer(image)
            ending = "cut" if result.deadline == "cut" else "answered"
        except asyncio.CancelledError:
            ending = "cancelled"
            raise
        finally:
            self.gate.leave(slot, ending)
        self.metrics.deadlines.labels(result.deadline).inc()
        self.metrics.exits.labels(str(result.exit)).inc()
        if isinstance(result, Referred):
            self.metrics.referred.labels(result.reason).inc()
        else:
            self.metrics.labels.labels(result.label).inc()
        if ending == "answered" and image.model is self.model:
            chances = tuple(result.probabilities.values())  # also of images that are referred
            self.shift.add(result.exit, chances.index(max(chances)), max(chances))
        return result

    async def _answer(self, image: "_Image") -> Answered | Referred:
        loop, worker = asyncio.get_running_loop(), self.worker
        assert worker is not None  # noqa: S101  there is a model
        decoding = self.decoders.decode(image.content, image.model.preprocessing, image.frame)
        square, decode_s = await _until(image.deadline, decoding)
        begin = loop.time()
        journey = Journey(image.on_exit)
        worker.add(image.model.scheduler, journey, square, image.deadline)
        try:
            await asyncio.wait({journey.end}, timeout=image.deadline - begin)
        finally:
            if not journey.end.done():  # at the deadline, or the client is gone
                worker.cancel(journey)
        inside_s = loop.time() - begin
        self.metrics.queue_seconds.observe(inside_s)
        prediction, cut = self._outcome(journey)
        if image.trace is not None:
            image.trace.image((begin - decode_s, begin), journey.marks, prediction.exit)
        return answered(
            image.model, image.index, prediction, cut=cut, decode_s=decode_s, inside_s=inside_s
        )

    def _outcome(self, journey: Journey) -> tuple[Prediction, bool]:
        """Return the answer, and whether it was cut."""
        if not journey.end.done():
            outcome: Outcome[Journey] = Outcome(journey, "cut", journey.last)
        else:
            outcome = journey.end.result()
        if outcome.prediction is not None:
            return outcome.prediction, outcome.kind == "cut"
        if outcome.error is None or isinstance(outcome.error, DeadlineError):
            self.metrics.deadlines.labels("missed").inc()
            raise Problem("draining" if self.closed else "deadline.missed")
        expected = isinstance(outcome.error, EndoexitError)
        log.warning("an image has no answer", exc_info=None if expected else outcome.error)
        raise Problem("image.no_answer")


async def _until(deadline: float, awaitable: Awaitable[Value]) -> Value:
    """Await something until a time of the event loop.

    Raises:
        Problem: The time came first.
    """
    try:
        async with asyncio.timeout_at(deadline):
            return await awaitable
    except TimeoutError:
        raise Problem("deadline.missed") from None
