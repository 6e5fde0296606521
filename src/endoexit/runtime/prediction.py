"""The answer for one image."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from endoexit.policy.referral import Reason


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer for one image.

    Attributes:
        label: Index of the most probable class; no answer if the image is referred.
        probabilities: Class probabilities (C,), at the temperature of the exit that answered.
        exit: Number of the exit that answered, 1 to M.
        stage_ms: Milliseconds of each stage that ran: this image's equal share of its batch.
            Loading and compiling a stage is not included. Of stages that ran as one, the last
            has the time of all, and the others have 0.
        cut_short: Whether time ran out before the policy was satisfied. The answer is then
            from the last exit that finished, and the promises of the policy do not hold.
        deadline_missed: Whether the answers of the call came after the deadline, because
            stage 1 alone takes longer, or because a stage took longer than forecast.
        referred: Reason why a human must look at the image; None for an answer.
    """

    label: int
    probabilities: npt.NDArray[np.float64]
    exit: int
    stage_ms: tuple[float, ...]
    cut_short: bool = False
    deadline_missed: bool = False
    referred: Reason | None = None

    @property
    def milliseconds(self) -> float:
        """Time in all stages."""
        return sum(self.stage_ms)
