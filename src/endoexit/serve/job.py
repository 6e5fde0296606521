"""A batch and the engine that runs its next stage, in any thread."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Generic

import numpy as np

from endoexit.runtime.batch import Batch, StageResult, Ticket
from endoexit.runtime.engine import Engine
from endoexit.runtime.prediction import Prediction


@dataclass(frozen=True, slots=True)
class Ran(Generic[Ticket]):
    """Images that a stage ran on together.

    Attributes:
        tickets: Names of the images.
        begin: Time on the clock at which the stage began.
        end: Time on the clock at which it ended.
        result: Outcome of the stage; None if it raised.
        answers: Answers of its exit, of all images.
        error: Error of the one image, if it raised.
    """

    tickets: list[Ticket]
    begin: float
    end: float
    result: StageResult[Ticket] | None = None
    answers: dict[Ticket, Prediction] = field(default_factory=dict)
    error: Exception | None = None


class Job(Generic[Ticket]):
    """The next stage of a batch.

    Args:
        engine: Engine that runs it, and nothing else meanwhile.
        batch: Images.
        clock: Function that returns the seconds since any fixed moment.

    Attributes:
        began: Time on the clock at which the job was made.
        ran: Outcomes, after `run`.
    """

    def __init__(self, engine: Engine, batch: Batch[Ticket], clock: Callable[[], float]) -> None:
        self.engine = engine
        self.began = clock()
        self.ran: list[Ran[Ticket]] = []
        self._batch = batch
        self._clock = clock

    def run(self) -> None:
        """Run the stage. If it raises, run it again image by image: only the guilty one fails."""
        self._run(self._batch)

    def _run(self, batch: Batch[Ticket], *, is_retry: bool = False) -> None:
        begin = self._clock()
        try:
            # A copy: the arrays are the same, but `batch` keeps its state for a second run.
            result = self.engine.step(replace(batch))
            answers = self.engine.answers(result, np.ones_like(result.exiting))
        except Exception as error:  # of any kind: the guilty image is found, the others continue
            if len(batch) == 1:
                self.ran.append(Ran(batch.tickets, begin, self._clock(), error=error))
                return
            for row in range(len(batch)):
                self._run(self.engine.take(batch, np.array([row])), is_retry=True)
            return
        if is_retry:  # the next image's run may write over the state
            result.batch = self.engine.take(result.batch, np.array([0]))
        self.ran.append(Ran(batch.tickets, begin, self._clock(), result, answers))
