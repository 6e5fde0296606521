"""Evidence over frames: which label is shown, and when it changes."""

import numpy as np
from numpy.typing import NDArray

from endoexit.policy.temporal.settings import Evidence

_LEAST = 1e-6  # so that one answer of probability 0 does not rule a label out for ever


class Gathered:
    """The evidence of one clip so far.

    Args:
        rule: Numbers of the rule.
    """

    def __init__(self, rule: Evidence) -> None:
        self._rule = rule
        self._scores: NDArray[np.float64] | None = None
        self._ahead: int | None = None
        self._count = 0
        self.shown: int | None = None

    @property
    def undecided(self) -> bool:
        """Whether another label than the shown one is ahead."""
        return self._count > 0

    def add(self, probabilities: NDArray[np.float64], *, cut: bool = False) -> int:
        """Take in the answer to the next frame; return the label that is shown for it.

        Args:
            probabilities: Probabilities (C,) of the classes.
            cut: Whether the frame shows another view, so that the evidence before does not count.
        """
        logs = np.log(np.maximum(probabilities, _LEAST))
        if self._scores is None or cut:
            self._scores, self._ahead, self._count = logs, None, 0
        else:
            self._scores = self._rule.keep * self._scores + (1 - self._rule.keep) * logs
        leader = int(self._scores.argmax())
        if self.shown is None:
            self.shown = leader
        self._compare(leader, self.shown)
        return self.shown

    def forget(self) -> None:
        """Show nothing, and begin anew with the next answer."""
        self._scores, self._ahead, self._count, self.shown = None, None, 0, None

    def _compare(self, leader: int, shown: int) -> None:
        assert self._scores is not None  # noqa: S101  set by `add`
        lead = float(self._scores[leader] - self._scores[shown])
        if leader == shown or lead < self._rule.lead:
            self._ahead, self._count = None, 0
            return
        self._count = self._count + 1 if leader == self._ahead else 1
        self._ahead = leader
        if self._count >= self._rule.frames:
            self.shown, self._ahead, self._count = leader, None, 0
