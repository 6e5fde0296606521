"""Images that went through the same stages together, and the outcome of their last stage."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from endoexit.runtime.backends.base import Rows

Ticket = TypeVar("Ticket", bound=Hashable)

NOT_COMPUTED = -1  # in place of the label of an exit


@dataclass(slots=True)
class Batch(Generic[Ticket]):
    """Images that went through the same stages. Row i of every array belongs to ticket i.

    A stage writes its column into the arrays in place: for one image, new arrays at each
    stage would take longer than the decision.

    Attributes:
        tickets: Names that the caller gave to the images (n). The engine only hands them back.
        state: State of the backend.
        labels: Labels (n, M) of the exits; only the first `passed` columns are filled, with −1
            where an exit was not computed.
        stage_ms: Milliseconds (n, M) of the stages; only the first `passed` columns are filled.
        gates: Values (n, M) of the gates of the policy; only the first `passed` columns are
            filled, and none where it has no gates.
        passed: Number of stages that these images went through.
    """

    tickets: list[Ticket]
    state: Any
    labels: Rows
    stage_ms: npt.NDArray[np.float64]
    gates: npt.NDArray[np.float64]
    passed: int = 0

    def __len__(self) -> int:
        return len(self.tickets)


@dataclass(slots=True)
class StageResult(Generic[Ticket]):
    """The outcome of one stage for one batch.

    Attributes:
        batch: The batch after the stage, with the images that exit.
        logits: Logits (n, C) of the exit.
        exiting: Mask (n,) of the images that exit here, as the policy decides.
        continuing: Number of the other images.
        features: Features (n, D) at exit 1; None at later exits, and for a policy without need.
    """

    batch: Batch[Ticket]
    logits: npt.NDArray[np.float32]
    exiting: npt.NDArray[np.bool_]
    continuing: int
    features: npt.NDArray[np.float32] | None = None
