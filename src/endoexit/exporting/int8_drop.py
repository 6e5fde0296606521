"""How much accuracy a quantised stage loses among the others."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from endoexit.exporting.int8_states import state_of
from endoexit.exporting.stage_files import Stage

# One wrong answer more is a larger step for up to 100,000 images; see `Drop.measure`.
STEP = 1e-5
WITHIN = 1 - STEP


@dataclass(frozen=True)
class Reference:
    """What the run answers on the images of calibrate, which int8 must keep.

    Attributes:
        images: Normalised images (N, 3, S, S).
        logits: Logits of the run, (M, N, C).
        labels: Class indices, (N,).
        bound: Largest drop of the accuracy of an exit, a share of the images.
    """

    images: NDArray[np.float32]
    logits: NDArray[np.float32]
    labels: NDArray[np.int64]
    bound: float


class Drop:
    """How much of the run's accuracy is lost with a quantised stage among the others.

    An image passes the quantised stages before it, the stage, and the others in f32: so the drop
    of its exit is what the bundle will have, and later exits show what its state has lost.

    Args:
        number: Number of the stage, from 1.
        reference: What must be kept.
        before: Quantised stages before it, at work.
        after: Stages after it in f32, at work.
        at_work: Function from a model that NNCF has prepared to a stage.
    """

    def __init__(
        self,
        number: int,
        reference: Reference,
        before: list[Stage],
        after: list[Stage],
        at_work: Callable[[Any], Stage],
    ) -> None:
        self._first, self._reference = number - 1, reference
        self._before, self._after, self._at_work = before, after, at_work

    @property
    def images(self) -> int:
        """Number of images that it is measured on."""
        return len(self._reference.labels)

    def figure(self, stage: Stage) -> float:
        """Return the figure of all images; see `measure`. Within the bound: `WITHIN` or more."""
        return self._figures(stage, range(self.images))[0]

    def measure(self, prepared: Any, rows: Any) -> tuple[float, list[float]]:
        """Return a figure of some images, higher for better, and one for each image.

        The figure is 1 less what the largest drop exceeds the bound by. Less than one wrong answer
        more would cost, the error of the logits also counts: it ranks layers with equal drops.

        Args:
            prepared: Model of the stage that NNCF has prepared.
            rows: Numbers of the images.
        """
        return self._figures(self._at_work(prepared), rows)

    def _figures(self, stage: Stage, rows: Iterable[int]) -> tuple[float, list[float]]:
        chosen, stages = list(rows), [stage, *self._after]
        answers = np.stack([self._logits(row, stages) for row in chosen], axis=1)
        expected = self._reference.logits[self._first :, chosen]
        labels = self._reference.labels[chosen]
        right, was = (
            (logits.argmax(axis=2) == labels).mean(axis=1) for logits in (answers, expected)
        )
        excess = max(0.0, float((was - right).max()) - self._reference.bound - 1e-9)
        errors = ((answers - expected) ** 2).mean(axis=(0, 2)) / (expected**2).mean()
        marks = np.minimum(errors, 1.0) * STEP
        return 1 - excess - float(marks.mean()), [-float(mark) for mark in marks]

    def _logits(self, row: int, stages: list[Stage]) -> NDArray[np.float32]:
        """Return the logits (exits, C) of one image at this exit and the later ones."""
        state, logits = state_of(self._reference.images[row], self._before), []
        for stage in stages:
            *state, answer = stage(state)
            logits.append(answer[0])
        return np.stack(logits)
