"""The engine: run a stage, ask the policy, gather those who stay, go on.

It knows no framework: a backend runs the stages, and torch is not imported here.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from endoexit.errors import PolicyError, UsageError
from endoexit.images.preprocessing import Preprocessing
from endoexit.policy import ExitPolicy
from endoexit.precision import Precision
from endoexit.runtime.forecast import StageTimes

Rows = npt.NDArray[np.int64]
Images = npt.NDArray[np.uint8]

WARM_UP_RUNS = 3


class Backend(Protocol):
    """What runs the stages of one network; all that an engine needs to know of it.

    A state is what one stage hands to the next. It stays inside the backend, in whatever
    form suits it. One that `run` returned is good until `run` is called again for the same
    stage; what `gather` and `concatenate` return lasts.
    """

    @property
    def num_stages(self) -> int:
        """Number of stages M, which is the number of exits."""

    @property
    def precision(self) -> Precision:
        """What the stages compute in, for which a policy is fitted."""

    @property
    def threads(self) -> int:
        """Number of threads that a stage runs on."""

    def expect(self, images: int) -> None:
        """Hear that batches of so many images will come often, in time to prepare for them."""

    def start(self, images: npt.NDArray[np.float32]) -> Any:
        """Return the state before stage 1 for normalised images (B, 3, S, S)."""

    def run(self, number: int, state: Any) -> tuple[Any, npt.NDArray[np.float32]]:
        """Run stage `number` (1 to M); return its state and its exit's logits (B, C)."""

    def gather(self, state: Any, rows: Rows) -> Any:
        """Return the state of some images, in the order of `rows`."""

    def concatenate(self, states: Sequence[Any]) -> Any:
        """Return the state of several groups of images as one group."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer for one image.

    Attributes:
        label: index of the most probable class.
        probabilities: (C,), at the temperature of the exit that answered.
        exit: the exit that answered, 1 to M.
        stage_ms: milliseconds of each stage that ran, this image's equal share of the group
            that it ran in.
        cut_short: time ran out before the policy was satisfied: this is the answer of the
            last exit that finished, and what the policy promises does not hold for it.
        deadline_missed: the answers of the call came after the deadline, because stage 1
            alone takes longer, or because a stage took longer than forecast.
    """

    label: int
    probabilities: npt.NDArray[np.float64]
    exit: int
    stage_ms: tuple[float, ...]
    cut_short: bool = False
    deadline_missed: bool = False

    @property
    def milliseconds(self) -> float:
        """Time in all stages."""
        return sum(self.stage_ms)


@dataclass(slots=True)
class Group:
    """Images that went through the same stages; row i of every array belongs to one image.

    A stage writes its column into the arrays in place: for one image, making new ones at each
    stage would take longer than deciding.

    Attributes:
        tickets: (n,) whose image it is, as the caller counts.
        state: the backend's state.
        labels: (n, M) what the exits answered, in the first `passed` columns.
        stage_ms: (n, M) what the stages took, likewise.
        passed: number of stages that these images went through.
    """

    tickets: Rows
    state: Any
    labels: Rows
    stage_ms: npt.NDArray[np.float64]
    passed: int = 0

    def __len__(self) -> int:
        return len(self.tickets)


@dataclass(slots=True)
class Step:
    """What one stage gave.

    Attributes:
        group: the images after the stage, those who leave included.
        logits: (n, C) of its exit.
        leaving: (n,) who leaves there, as the policy decides.
        staying: how many do not.
    """

    group: Group
    logits: npt.NDArray[np.float32]
    leaving: npt.NDArray[np.bool_]
    staying: int


class Engine:
    """Sends images through the stages of a network until the policy lets them leave.

    Args:
        backend: runs the stages.
        policy: decides who leaves at each exit.
        preprocessing: of the network; its mean and standard deviation are applied here.
        deadline_ms: milliseconds in which every call of `predict` shall answer, from decoded
            images to the answers. A stage is started only when, judged by earlier runs, it
            will finish in time; otherwise the images still in get the answer of their last
            exit. Exit 1 always answers, even when stage 1 takes longer. Where the policy has
            a deadline as well, the shorter one counts.

    Raises:
        PolicyError: the policy is for another number of exits.
        UsageError: the deadline is not positive.
    """

    def __init__(
        self,
        backend: Backend,
        policy: ExitPolicy,
        preprocessing: Preprocessing,
        deadline_ms: float | None = None,
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
        self._times = StageTimes()

    def predict(self, images: Images) -> list[Prediction]:
        """Return the answers for one batch, in its order.

        Args:
            images: uint8 (B, S, S, 3), as `Preprocessing.load` returns each; B may be 0.

        Raises:
            DataError: another shape or type.
            PolicyError: the network gave values that are not finite.
        """
        if len(images) == 0:
            return []
        if self.deadline_ms is not None and self._times.forecast(1, 1) is None:
            self.warm_up(len(images))  # nothing can be forecast yet: before the clock starts
        clock = _Clock(self.deadline_ms)
        answers: dict[int, Prediction] = {}
        group: Group | None = self.enter(images, np.arange(len(images)))
        while group is not None:
            step = self.step(group)
            if step.staying and not self._in_time(clock, group.passed + 1, step.staying):
                answers |= self.answers(step, np.ones_like(step.leaving))
                break
            if step.staying < len(group):
                answers |= self.answers(step, step.leaving)
            group = self.remainder(step)
        ordered = [answers[ticket] for ticket in range(len(images))]
        if clock.is_over():  # the caller gets all of them now, also those found in time
            return [replace(answer, deadline_missed=True) for answer in ordered]
        return ordered

    def warm_up(self, batch_size: int = 1) -> None:
        """Run every stage a few times on black images, so that times are known and stable."""
        side = self.preprocessing.size
        for images in sorted({1, batch_size}):
            black = np.zeros((images, side, side, 3), dtype=np.uint8)
            for turn in range(WARM_UP_RUNS + 1):
                state = self.enter(black, np.arange(images)).state
                for number in range(1, self.backend.num_stages + 1):
                    begin = time.perf_counter()
                    state, _ = self.backend.run(number, state)
                    if turn > 0:  # the first run allocates and compiles
                        self._times.record(number, images, _since(begin))

    def enter(self, images: Images, tickets: Rows) -> Group:
        """Return the group of images before stage 1.

        Args:
            images: uint8 (n, S, S, 3).
            tickets: (n,) by which the caller knows them.
        """
        state = self.backend.start(self.preprocessing.normalise(images))
        columns = (len(images), self.backend.num_stages)
        return Group(tickets, state, np.empty(columns, np.int64), np.empty(columns))

    def step(self, group: Group) -> Step:
        """Run the next stage on a group, which moves on, and ask the policy who leaves there."""
        before = group.passed
        begin = time.perf_counter()
        group.state, logits = self.backend.run(before + 1, group.state)
        spent = _since(begin)
        self._times.record(before + 1, len(group), spent)
        leaving = self.policy.leaves(before + 1, logits, group.labels[:, :before])
        group.labels[:, before] = logits.argmax(axis=1)
        group.stage_ms[:, before] = spent / len(group)
        group.passed = before + 1
        return Step(group, logits, leaving, len(group) - int(np.count_nonzero(leaving)))

    def answers(self, step: Step, done: npt.NDArray[np.bool_]) -> dict[int, Prediction]:
        """Return the answers of this exit for the rows that are done, by ticket.

        Args:
            step: what the stage gave.
            done: (n,) who gets an answer; those whom the policy keeps are cut short.
        """
        rows = np.flatnonzero(done)
        if len(rows) == 0:
            return {}
        group, passed = step.group, step.group.passed
        probabilities = self.policy.probabilities(passed, step.logits[rows])
        return {
            int(group.tickets[row]): Prediction(
                label=int(group.labels[row, passed - 1]),
                probabilities=values,
                exit=passed,
                stage_ms=tuple(group.stage_ms[row, :passed].tolist()),
                cut_short=not step.leaving[row],
            )
            for row, values in zip(rows.tolist(), probabilities, strict=True)
        }

    def remainder(self, step: Step) -> Group | None:
        """Return the group without those who left (compaction); None if nobody stays."""
        if step.staying == len(step.group):
            return step.group
        return self.take(step.group, np.flatnonzero(~step.leaving)) if step.staying else None

    def take(self, group: Group, rows: Rows) -> Group:
        """Return some images of a group, in the order of `rows`, in a state that lasts."""
        return Group(
            tickets=group.tickets[rows],
            state=self.backend.gather(group.state, rows),
            labels=group.labels[rows],
            stage_ms=group.stage_ms[rows],
            passed=group.passed,
        )

    def join(self, groups: Sequence[Group]) -> Group:
        """Return groups that went through the same stages as one group."""
        if len(groups) == 1:
            return groups[0]
        return replace(
            groups[0],
            tickets=np.concatenate([group.tickets for group in groups]),
            state=self.backend.concatenate([group.state for group in groups]),
            labels=np.concatenate([group.labels for group in groups]),
            stage_ms=np.concatenate([group.stage_ms for group in groups]),
        )

    def _in_time(self, clock: "_Clock", number: int, images: int) -> bool:
        if clock.limit_ms is None:
            return True
        forecast = self._times.forecast(number, images)
        return forecast is None or clock.spent() + forecast <= clock.limit_ms


class _Clock:
    """Time since one call of `predict` began, and what it may take."""

    def __init__(self, limit_ms: float | None) -> None:
        self.limit_ms = limit_ms
        self._begin = time.perf_counter()

    def spent(self) -> float:
        return _since(self._begin)

    def is_over(self) -> bool:
        return self.limit_ms is not None and self.spent() > self.limit_ms


def _since(begin: float) -> float:
    return (time.perf_counter() - begin) * 1000
