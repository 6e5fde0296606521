"""Memory of exits: where the last image exited, and where the next one may."""

from typing import Any

from numpy.typing import NDArray

from endoexit.errors import UsageError
from endoexit.policy.policy import ExitPolicy
from endoexit.policy.rules.threshold import ThresholdRule
from endoexit.policy.temporal.settings import ExitMemory


class Remembered:
    """The exits of one clip so far.

    Args:
        rule: Numbers of the rule.
        policy: Exit policy, which decides by thresholds.

    Raises:
        UsageError: The exit policy has no thresholds.
    """

    def __init__(self, rule: ExitMemory, policy: ExitPolicy) -> None:
        if not isinstance(policy.rule, ThresholdRule):
            raise UsageError(
                f"memory of exits lowers the thresholds of the exit policy, and {policy.rule.kind} "
                "has none: calibrate with a rule of thresholds, give --threshold, or switch the "
                "memory off."
            )
        self._rule, self._policy = rule, policy
        lowered = tuple(
            None if value is None else max(0.0, value - rule.slack)
            for value in policy.rule.thresholds
        )
        self._lowered = policy.rule.replaced(thresholds=lowered)
        self.forget()

    def forget(self) -> None:
        """Send the next image by the exit policy alone."""
        self._exit = self._policy.num_exits
        self._labels: tuple[int, ...] = ()
        self._helped = 0

    def lets_exit(self, exit_number: int, logits: NDArray[Any], previous: NDArray[Any]) -> bool:
        """Tell whether an image may exit that the exit policy lets continue.

        Args:
            exit_number: Exit k of the logits, 1 to M.
            logits: Logits (1, C) of the image.
            previous: Labels (1, k − 1) that the earlier exits gave it.
        """
        settled = len(self._labels) == 2 and self._labels[0] == self._labels[1]
        if not settled or self._helped >= self._rule.frames:
            return False
        if exit_number < self._exit - 1 or exit_number == self._policy.num_exits:
            return False
        if int(logits[0].argmax()) != self._labels[-1]:
            return False
        temperature = self._policy.temperatures[exit_number - 1]
        return bool(self._lowered.decide(exit_number, logits, previous, temperature)[0])

    def note(self, label: int, exit_number: int, *, helped: bool) -> None:
        """Remember where an image exited.

        Args:
            label: Label that it got.
            exit_number: Exit that answered.
            helped: Whether the memory let it exit; the count of such images in a row is bounded.
        """
        self._labels = (*self._labels[-1:], label)
        self._exit = exit_number
        self._helped = self._helped + 1 if helped else 0
