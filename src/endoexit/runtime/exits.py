"""Answers at all exits of a network, stage by stage, on any backend."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from endoexit.errors import UsageError
from endoexit.runtime.backends.base import Backend

AnswerAll = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Function from normalised images (B, 3, S, S) to the logits (M, B, C) of all exits."""


def features_at_first_exit(backend: Backend) -> Callable[[NDArray[np.float32]], NDArray[Any]]:
    """Return a function from normalised images (B, 3, S, S) to their features (B, D) at exit 1.

    Stage 1 alone runs.

    Raises:
        UsageError: The network has one exit, and no state behind it.
    """
    if backend.num_stages == 1:
        raise UsageError(
            "features of exit 1 need a network with early exits: use one, or take --unlike-by "
            "energy."
        )

    def answer(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        return backend.features(backend.run(1, backend.start(batch))[0])

    return answer


def all_exits(backend: Backend) -> AnswerAll:
    """Return a function that answers at all exits; every stage runs for every image."""

    def answer(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        state, exits = backend.start(batch), []
        for number in range(1, backend.num_stages + 1):
            state, logits = backend.run(number, state)
            exits.append(logits)
        return np.stack(exits)

    return answer
