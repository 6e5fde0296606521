"""Rows of frames made by hand: 25 frames a second, three classes."""

import numpy as np

from endoexit.policy.temporal.watch import Look
from endoexit.runtime.prediction import Prediction
from endoexit.watching.answer import FrameRow

FPS = 25


def row(
    index: int,
    shown: int | None = 0,
    *,
    exit_number: int = 1,
    probability: float = 0.8,
    blind: str | None = None,
    reuse: bool = False,
    dropped: bool = False,
    lag_ms: float | None = None,
    label: int | None = None,
) -> FrameRow:
    """Return the row of a frame at 25 frames a second, of three classes."""
    look = None if dropped else Look(blind, reuse, False, 1.0, 1.0)  # type: ignore[arg-type]
    answer = None
    if not dropped and blind is None:
        named = label if label is not None else (shown or 0)
        values = np.full(3, (1 - probability) / 2)
        values[named] = probability
        spent = () if reuse else (1.0,) * exit_number
        answer = Prediction(named, values, exit_number, spent)
    return FrameRow(index, index / FPS, answer, shown, look, False, lag_ms)
