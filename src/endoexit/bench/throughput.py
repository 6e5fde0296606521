"""Images a second in batches, and what the engine itself takes of an image's time."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from endoexit.bench.document import Throughput
from endoexit.bench.ratios import ratio_of, spread
from endoexit.evaluation.turns import take_turns
from endoexit.policy import fixed_exit
from endoexit.progress import Track
from endoexit.runtime.backends.base import Backend, RunsTogether
from endoexit.runtime.engine import Engine, Images
from endoexit.runtime.stream import predict_stream

POLICY, FINAL = "policy", "final exit"


class _Clocked:
    """A backend that adds up the time in its stages.

    Args:
        backend: Backend that computes.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.num_stages = backend.num_stages
        self.precision = backend.precision
        self.threads = backend.threads
        self.expect, self.prepare = backend.expect, backend.prepare
        self.start, self.gather = backend.start, backend.gather
        self.concatenate = backend.concatenate
        self.spent_ms = 0.0

    def run(self, number: int, state: Any) -> tuple[Any, npt.NDArray[np.float32]]:
        """Run a stage."""
        begin = time.perf_counter()
        answer = self._backend.run(number, state)
        self.spent_ms += (time.perf_counter() - begin) * 1000
        return answer

    def features(self, state: Any) -> npt.NDArray[np.float32]:
        """Return the features of the map that an exit reads."""
        return self._backend.features(state)


class _ClockedTogether(_Clocked):
    """The same of a backend that also runs stages as one."""

    def __init__(self, backend: Backend, together: RunsTogether) -> None:
        super().__init__(backend)
        self._together = together
        self.prepare_together = together.prepare_together

    def run_together(
        self, first: int, last: int, state: Any
    ) -> tuple[Any, npt.NDArray[np.float32]]:
        """Run stages as one."""
        begin = time.perf_counter()
        answer = self._together.run_together(first, last, state)
        self.spent_ms += (time.perf_counter() - begin) * 1000
        return answer


class MeteredEngine(Engine):
    """An engine that knows how long it did something else than decide and gather.

    Args:
        engine: Engine that it copies.
    """

    def __init__(self, engine: Engine) -> None:
        backend = engine.backend
        self._clocked = (
            _ClockedTogether(backend, backend)
            if isinstance(backend, RunsTogether)
            else _Clocked(backend)
        )
        self._entering_ms = 0.0
        super().__init__(
            self._clocked, engine.policy, engine.preprocessing, engine.deadline_ms,
            fused=engine.fused,
        )  # fmt: skip

    @property
    def inside_ms(self) -> float:
        """Milliseconds in the stages, and in normalising images on their way in."""
        return self._clocked.spent_ms + self._entering_ms

    def _first_state(self, images: Images) -> Any:
        begin = time.perf_counter()
        state = super()._first_state(images)
        self._entering_ms += (time.perf_counter() - begin) * 1000
        return state


class Pass:
    """Sends a slice of the images through an engine; the slice moves on with the turn.

    Args:
        engine: Engine that predicts.
        images: Images, uint8 (N, S, S, 3).
        batch: Size of a full batch: 1 for one image after another, more for throughput mode.
        length: Number of images of one pass.
    """

    def __init__(self, engine: Engine, images: Images, batch: int, length: int) -> None:
        self._engine = MeteredEngine(engine)
        self._images, self._batch, self._length = images, batch, length
        engine.backend.expect(batch)
        self.overhead_ms: list[float] = []

    def __call__(self, turn: int) -> None:
        """Predict the slice of a turn, and note the engine's own time for an image."""
        rows = (turn * self._length + np.arange(self._length)) % len(self._images)
        chosen = [self._images[row] for row in rows]
        engine, before = self._engine, self._engine.inside_ms
        begin = time.perf_counter()
        if self._batch == 1:
            for image in chosen:
                engine.predict(image[None])
        else:
            for _ in predict_stream(engine, chosen, self._batch):
                pass
        spent = (time.perf_counter() - begin) * 1000
        self.overhead_ms.append((spent - (engine.inside_ms - before)) / self._length)


def measure_throughput(
    engine: Engine,
    images: Images,
    batches: Sequence[int],
    *,
    rounds: int,
    track: Track,
    length: int | None = None,
) -> list[Throughput]:
    """Measure passes under the policy and to the final exit alternately, for each size of batch.

    Args:
        engine: Engine with the policy.
        images: Images, uint8 (N, S, S, 3).
        batches: Sizes of a full batch.
        rounds: Number of passes of each that count.
        track: What shows progress.
        length: Number of images of one pass, by default at least 16 and three batches.
    """
    last = engine.backend.num_stages
    final = Engine(engine.backend, fixed_exit(last, last), engine.preprocessing)
    throughputs = []
    with track("throughput", rounds * len(batches)) as bar:
        for batch in batches:
            count = length or max(16, 3 * batch)
            passes = {FINAL: Pass(final, images, batch, count)}
            if engine.policy.rule.kind != "fixed" and engine.deadline_ms is None:
                passes[POLICY] = Pass(engine, images, batch, count)
            times = take_turns(passes, rounds, bar, warm_up=1)
            overhead = passes.get(POLICY, passes[FINAL]).overhead_ms[-rounds:]
            throughputs.append(_summary(batch, count, times, overhead))
    return throughputs


def _summary(
    batch: int, count: int, times: dict[str, list[float]], overhead: Sequence[float]
) -> Throughput:
    without = times[FINAL]
    policy = times.get(POLICY)
    return Throughput(
        batch=batch,
        images=count,
        rounds=len(without),
        per_second=None if policy is None else spread(1000 * count / np.asarray(policy)),
        per_second_without=spread(1000 * count / np.asarray(without)),
        # Images a second of one over those of the other: the times the other way round.
        gain=None if policy is None else ratio_of(POLICY, without, FINAL, policy),
        overhead_ms=spread(overhead),
    )
