"""Answers at all exits of a network, stage by stage, on any backend."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from endoexit.runtime.backends.base import Backend

AnswerAll = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Function from normalised images (B, 3, S, S) to the logits (M, B, C) of all exits."""


def all_exits(backend: Backend) -> AnswerAll:
    """Return a function that answers at all exits; every stage runs for every image."""

    def answer(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        state, exits = backend.start(batch), []
        for number in range(1, backend.num_stages + 1):
            state, logits = backend.run(number, state)
            exits.append(logits)
        return np.stack(exits)

    return answer
