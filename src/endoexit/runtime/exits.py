"""Answers at all exits of a network, stage by stage, on any backend."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from endoexit.runtime.engine import Backend

Answer = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Takes normalised images (B, 3, S, S) and gives logits (M, B, C)."""


def all_exits(backend: Backend) -> Answer:
    """Return what answers at all exits, whoever would have left before, as in prediction."""

    def answer(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        state, exits = backend.start(batch), []
        for number in range(1, backend.num_stages + 1):
            state, logits = backend.run(number, state)
            exits.append(logits)
        return np.stack(exits)

    return answer
