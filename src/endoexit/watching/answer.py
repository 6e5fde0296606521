"""From the frames of a clip to rows: look, compute or reuse, and say what is shown."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from endoexit.images.video.clip import ClipFrame
from endoexit.images.video.upright import Pixels
from endoexit.policy.temporal.watch import Look, Watch
from endoexit.runtime.engine import Engine
from endoexit.runtime.prediction import Prediction


@dataclass(frozen=True, slots=True)
class FrameRow:
    """What became of one frame.

    Attributes:
        index: Number of the frame in the clip, from 0.
        time_s: Time of the frame in seconds from the first.
        prediction: Answer, computed or reused; None for a frame that is blind or was dropped.
        shown: Label that is shown for the frame; None where nothing is.
        look: What the temporal policy says of it; None for a dropped frame.
        remembered: Whether the memory of exits let the image exit.
        lag_ms: Milliseconds from the time at which the frame was due to its answer; None unless
            the clip is live.
    """

    index: int
    time_s: float
    prediction: Prediction | None
    shown: int | None
    look: Look | None
    remembered: bool = False
    lag_ms: float | None = None

    @property
    def dropped(self) -> bool:
        """Whether it was dropped to keep up with the clock."""
        return self.look is None

    @property
    def reused(self) -> bool:
        """Whether its answer is that of an earlier frame."""
        return self.look is not None and self.look.reuse

    @property
    def answer(self) -> Prediction | None:
        """The prediction, if the exit policy did not refer the image to a human."""
        answer = self.prediction
        return None if answer is None or answer.referred is not None else answer

    @property
    def blind(self) -> str | None:
        """Why it shows nothing to decide on; None where it does."""
        return None if self.look is None else self.look.blind

    @property
    def stages(self) -> int:
        """Number of stages that ran for it."""
        return 0 if self.prediction is None or self.reused else self.prediction.exit


def answer_frames(
    engine: Engine, watch: Watch, frames: Iterable[ClipFrame]
) -> Iterator[tuple[FrameRow, Pixels | None]]:
    """Yield the row of each frame, and its square, in their order.

    Each frame is a separate batch, so its answer does not depend on other frames, unless a rule of
    the temporal policy says so.

    Args:
        engine: Engine without a deadline.
        watch: Temporal policy, which has seen no frame yet.
        frames: Frames of the clip.
    """
    last: Prediction | None = None
    for frame in frames:
        if frame.square is None:
            yield FrameRow(frame.index, frame.time_s, None, watch.shown, None), None
            continue
        look = watch.look(engine.preprocessing.viewed(frame.square), frame.time_s)
        answer, remembered = None, False
        if look.blind is None:
            if look.reuse and last is not None:
                answer = replace(last, stage_ms=())
            else:
                answer, remembered = compute(engine, watch, frame.square)
                last = answer
            if answer.referred is None:
                watch.answered(
                    look, answer.label, answer.probabilities, answer.exit, helped=remembered
                )
            else:
                watch.referred()
        lag = None if frame.due is None else 1000 * (time.monotonic() - frame.due)
        row = FrameRow(frame.index, frame.time_s, answer, watch.shown, look, remembered, lag)
        yield row, frame.square


def compute(engine: Engine, watch: Watch, square: Pixels) -> tuple[Prediction, bool]:
    """Send one image through the stages until it exits.

    Args:
        engine: Engine that runs the stages.
        watch: Temporal policy, whose memory of exits may let the image exit.
        square: Image, uint8 (S, S, 3).

    Returns:
        The answer, and whether the memory let the image exit.
    """
    batch = engine.enter(square[None], (0,))
    remembered = False
    while True:
        result = engine.step(batch)
        if result.continuing:
            previous = batch.labels[:, : batch.passed - 1]
            remembered = watch.lets_exit(batch.passed, result.logits, previous)
            if not remembered:
                continue
            result = replace(result, exiting=np.ones_like(result.exiting), continuing=0)
        return engine.answers(result, result.exiting)[0], remembered
