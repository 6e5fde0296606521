"""The engine: run a stage, ask the policy, keep the images that continue, run the next stage.

It knows no framework: a backend runs the stages, and torch is not imported here.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from endoexit.errors import PolicyError, UsageError
from endoexit.images.preprocessing import Preprocessing
from endoexit.policy import ExitPolicy
from endoexit.policy.alone import decides_alone, leaves_alone, probabilities_alone
from endoexit.policy.distance import Features
from endoexit.policy.referral import Reason
from endoexit.runtime.backends.base import Backend, Rows, RunsTogether
from endoexit.runtime.backends.sizes import WARM_UP_RUNS, sizes_up_to
from endoexit.runtime.batch import NOT_COMPUTED, Batch, StageResult, Ticket
from endoexit.runtime.clock import Clock, since
from endoexit.runtime.forecast import StageTimes
from endoexit.runtime.fused import fused_ends, separate_ends
from endoexit.runtime.prediction import Prediction

Images = npt.NDArray[np.uint8]

# One for each backend: what its stages write is overwritten by the next image.
_LOCKS: WeakKeyDictionary[Backend, threading.RLock] = WeakKeyDictionary()


class Engine:
    """Sends images through the stages of a network until the policy lets them exit.

    Threads may call `predict` of engines on one backend at the same time: one waits for the
    other, as stages hand their states on in the same memory. All other methods, and `Pools`, are
    for one thread.

    Args:
        backend: Backend that runs the stages.
        policy: Policy that decides which images exit at each stage.
        preprocessing: Preprocessing of the network; its mean and standard deviation are
            applied here.
        deadline_ms: Milliseconds in which every call of `predict` must answer, from decoded
            images to the answers. A stage starts only if earlier runs suggest that it will
            finish in time. Otherwise the remaining images get the answer of their last exit.
            Exit 1 always answers, even when stage 1 takes longer. If the policy also has a
            deadline, the shorter one counts.
        fused: Whether `predict` and `stride` run stages as one where the policy lets no image
            exit between them, if the backend can. It saves time, and those exits are not
            computed. With a deadline, stages run one by one.

    Attributes:
        fused: Whether some stages run as one.

    Raises:
        PolicyError: The policy is for another number of exits.
        UsageError: The deadline is not positive.
    """

    def __init__(
        self,
        backend: Backend,
        policy: ExitPolicy,
        preprocessing: Preprocessing,
        deadline_ms: float | None = None,
        *,
        fused: bool = False,
    ) -> None:
        if policy.num_exits != backend.num_stages:
            raise PolicyError(
                f"the policy decides over {policy.num_exits} exits, but this network has "
                f"{backend.num_stages}: use the policy that was calibrated for it."
            )
        if deadline_ms is not None and not deadline_ms > 0:
            raise UsageError(f"a deadline must be more than 0 ms, got {deadline_ms:g}.")
        self.backend = backend
        self.policy = policy
        self.preprocessing = preprocessing
        limits = [limit for limit in (deadline_ms, policy.deadline_ms) if limit is not None]
        self.deadline_ms = min(limits, default=None)
        self._together = backend if fused and isinstance(backend, RunsTogether) else None
        separate = self._together is None or self.deadline_ms is not None
        # Item k − 1 is the last of the stages that run as one from stage k on.
        self._ends = separate_ends(policy.num_exits) if separate else fused_ends(policy)
        self.fused = self._ends != separate_ends(policy.num_exits)
        self._times = StageTimes()
        self._at_work = _LOCKS.setdefault(backend, threading.RLock())

    def predict(self, images: Images) -> list[Prediction]:
        """Return the answers for one batch, in its order.

        Args:
            images: Array uint8 (B, S, S, 3) of images from `Preprocessing.load`; B may be 0.

        Raises:
            DataError: The array has another shape or type.
            PolicyError: The network gave values that are not finite.
        """
        if len(images) == 0:
            return []
        with self._at_work:
            return self._predict(images)

    def _predict(self, images: Images) -> list[Prediction]:
        if len(images) == 1 and self.deadline_ms is None and decides_alone(self.policy):
            return [self._predict_alone(images)]
        if self.deadline_ms is not None and self._times.forecast(1, 1) is None:
            self.warm_up(len(images))  # forecasts need earlier runs; the clock has not started
        clock = Clock(self.deadline_ms)
        answers: dict[int, Prediction] = {}
        batch: Batch[int] | None = self.enter(images, range(len(images)))
        while batch is not None:
            result = self.stride(batch)
            if result.continuing and not self._in_time(clock, batch.passed + 1, result.continuing):
                answers |= self.answers(result, np.ones_like(result.exiting))
                break
            if result.continuing < len(batch):
                answers |= self.answers(result, result.exiting)
            batch = self.remainder(result)
        ordered = [answers[ticket] for ticket in range(len(images))]
        if clock.is_over():  # the caller gets all answers now, including the early ones
            return [replace(answer, deadline_missed=True) for answer in ordered]
        return ordered

    def _predict_alone(self, images: Images) -> Prediction:
        """Return the answer for one image, (1, S, S, 3), which is that of `step` and `answers`.

        A batch of one would spend as long on its arrays as on a small stage, and the threads of
        the next stage would fall asleep meanwhile.
        """
        state, labels, spent_ms = self._first_state(images), list[int](), list[float]()
        number, exits = 0, False
        while not exits:
            first, number = number + 1, self._ends[number]
            state, logits, spent = self._timed_run(first, number, state, 1)
            if first < number:
                labels += [NOT_COMPUTED] * (number - first)
                spent_ms += [0.0] * (number - first)
            spent_ms.append(spent)
            row = logits[0].tolist()
            exits = leaves_alone(self.policy, number, logits, row, labels)
            labels.append(row.index(max(row)))
        probabilities = probabilities_alone(self.policy, number, logits, row)
        return Prediction(labels[-1], probabilities, number, tuple(spent_ms))

    def warm_up(self, batch_size: int = 1) -> None:
        """Run every stage a few times on black images, so that times are known and stable."""
        side = self.preprocessing.size
        for images in sizes_up_to(batch_size, self.backend.threads):
            black = np.zeros((images, side, side, 3), dtype=np.uint8)
            for _ in range(WARM_UP_RUNS):
                state = self.enter(black, range(images)).state
                for number in range(1, self.backend.num_stages + 1):
                    state, _, _ = self._timed_run(number, number, state, images)

    def enter(self, images: Images, tickets: Sequence[Ticket]) -> Batch[Ticket]:
        """Return images as a batch before stage 1.

        Args:
            images: Array uint8 (n, S, S, 3).
            tickets: Names (n) by which the caller knows the images, each different.
        """
        state = self._first_state(images)
        columns = (len(images), self.backend.num_stages)
        labels = np.empty(columns, np.int64)
        return Batch(list(tickets), state, labels, np.empty(columns), np.empty(columns))

    def step(self, batch: Batch[Ticket]) -> StageResult[Ticket]:
        """Run the next stage on a batch, in place, and ask the policy which images exit.

        Raises:
            Exception: Whatever the stage or the policy raises. The batch is then as it was before.
        """
        return self._advance(batch, batch.passed + 1)

    def stride(self, batch: Batch[Ticket]) -> StageResult[Ticket]:
        """Run the next stages up to an exit that the policy uses; see `fused` and `step`.

        Raises:
            Exception: Whatever a stage or the policy raises. The batch is then as it was before.
        """
        return self._advance(batch, self._ends[batch.passed])

    def _advance(self, batch: Batch[Ticket], number: int) -> StageResult[Ticket]:
        """Run the stages after those that a batch passed up to stage `number`; see `step`."""
        before = batch.passed
        state, logits, spent = self._timed_run(before + 1, number, batch.state, len(batch))
        previous, gates = batch.labels[:, : number - 1], batch.gates[:, : number - 1]
        previous[:, before:] = NOT_COMPUTED
        value = self.policy.gate(number, logits, previous, gates)
        if value is not None:
            batch.gates[:, number - 1] = value
        features = None
        if number == 1 and self.policy.needs_features:
            features = self.backend.features(state)
        exiting = self.policy.leaves(
            number, logits, previous, batch.gates[:, :number], _given(features)
        )
        batch.state = state
        batch.labels[:, number - 1] = logits.argmax(axis=1)
        batch.stage_ms[:, before : number - 1] = 0.0
        batch.stage_ms[:, number - 1] = spent / len(batch)
        batch.passed = number
        continuing = len(batch) - int(np.count_nonzero(exiting))
        return StageResult(batch, logits, exiting, continuing, features)

    def answers(
        self, result: StageResult[Ticket], done: npt.NDArray[np.bool_]
    ) -> dict[Ticket, Prediction]:
        """Return the answers of this exit by ticket.

        Args:
            result: Outcome of the stage.
            done: Mask (n,) of the images to answer. Those that the policy would let continue
                are marked as cut short.
        """
        rows = np.flatnonzero(done)
        if len(rows) == 0:
            return {}
        batch, passed = result.batch, result.batch.passed
        probabilities = self.policy.probabilities(passed, result.logits[rows])
        reasons = self._reasons(result, rows)
        return {
            batch.tickets[row]: Prediction(
                label=int(batch.labels[row, passed - 1]),
                probabilities=values,
                exit=passed,
                stage_ms=tuple(batch.stage_ms[row, :passed].tolist()),
                cut_short=not result.exiting[row],
                referred=reason,
            )
            for row, values, reason in zip(rows.tolist(), probabilities, reasons, strict=True)
        }

    def _reasons(self, result: StageResult[Ticket], rows: Rows) -> tuple[Reason | None, ...]:
        if self.policy.referral is None:
            return (None,) * len(rows)
        passed = result.batch.passed
        previous = result.batch.labels[rows, : passed - 1]
        features = None if result.features is None else result.features[rows]
        return self.policy.reasons(passed, result.logits[rows], previous, _given(features))

    def remainder(self, result: StageResult[Ticket]) -> Batch[Ticket] | None:
        """Return the images that continue as a smaller batch; None if all exit."""
        if result.continuing == len(result.batch):
            return result.batch
        if result.continuing == 0:
            return None
        return self.take(result.batch, np.flatnonzero(~result.exiting))

    def take(self, batch: Batch[Ticket], rows: Rows) -> Batch[Ticket]:
        """Return some images of a batch, in the order of `rows`; their state stays valid."""
        return Batch(
            tickets=[batch.tickets[row] for row in rows.tolist()],
            state=self.backend.gather(batch.state, rows),
            labels=batch.labels[rows],
            stage_ms=batch.stage_ms[rows],
            gates=batch.gates[rows],
            passed=batch.passed,
        )

    def join(self, batches: Sequence[Batch[Ticket]]) -> Batch[Ticket]:
        """Return batches that went through the same stages as one batch."""
        if len(batches) == 1:
            return batches[0]
        return Batch(
            tickets=list(chain.from_iterable(batch.tickets for batch in batches)),
            state=self.backend.concatenate([batch.state for batch in batches]),
            labels=np.concatenate([batch.labels for batch in batches]),
            stage_ms=np.concatenate([batch.stage_ms for batch in batches]),
            gates=np.concatenate([batch.gates for batch in batches]),
            passed=batches[0].passed,
        )

    def _first_state(self, images: Images) -> Any:
        return self.backend.start(self.preprocessing.normalise(images))

    def _timed_run(
        self, first: int, last: int, state: Any, images: int
    ) -> tuple[Any, npt.NDArray[np.float32], float]:
        """Run stages as one; return state, logits and the milliseconds without compiling."""
        if first < last and self._together is not None:
            self._together.prepare_together(first, last, state)
            begin = time.perf_counter()
            after, logits = self._together.run_together(first, last, state)
            return after, logits, since(begin)
        self.backend.prepare(last, state)
        begin = time.perf_counter()
        after, logits = self.backend.run(last, state)
        spent = since(begin)
        self._times.record(last, images, spent)
        return after, logits, spent

    def _in_time(self, clock: Clock, number: int, images: int) -> bool:
        if clock.limit_ms is None:
            return True
        forecast = self._times.forecast(number, images)
        return forecast is None or clock.spent() + forecast <= clock.limit_ms


def _given(features: npt.NDArray[np.float32] | None) -> Features | None:
    return None if features is None else lambda: features
