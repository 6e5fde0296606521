"""The rules that compare a confidence with a threshold for each exit."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from endoexit.policy.budget import RATIOS, geometric_shares, thresholds_for_shares
from endoexit.policy.confidence import (
    CLOSE,
    CONFIDENCE_WORDS,
    ConfidenceName,
    confidence,
    confidence_of_one,
    is_confidence,
)
from endoexit.policy.rules.base import Candidate, Rule
from endoexit.policy.screening import (
    DEFAULT_CANDIDATES,
    Scores,
    candidate_thresholds,
    candidates_per_exit,
    screen,
)
from endoexit.policy.table import ExitTable

if TYPE_CHECKING:
    from endoexit.policy.options import RuleOptions

Threshold = Annotated[float, Field(ge=0.0, le=1.0, strict=True)]


class ThresholdRule(Rule):
    """An image exits when its confidence reaches the threshold of the exit.

    Attributes:
        kind: Confidence that is compared.
        thresholds: Threshold (M − 1,) of each early exit; no image exits where it is None.
    """

    kind: ConfidenceName
    thresholds: tuple[Threshold | None, ...]

    def faults(self, num_exits: int) -> list[str]:
        """Return why the rule does not fit a network with so many exits; empty if it does."""
        if len(self.thresholds) == num_exits - 1:
            return []
        return [
            f"{len(self.thresholds)} thresholds, but the rule {self.kind} with {num_exits} exits "
            f"takes {num_exits - 1}"
        ]

    def decide(
        self,
        exit_number: int,
        logits: NDArray[Any],
        previous: NDArray[Any],
        temperature: float,
        gates: NDArray[np.float64] | None = None,
    ) -> NDArray[np.bool_]:
        """Tell which images exit at an early exit; see `Rule.decide`."""
        threshold = self.thresholds[exit_number - 1]
        if threshold is None:
            return np.zeros(len(logits), dtype=np.bool_)
        return np.asarray(confidence(logits, self.kind, temperature) >= threshold)

    def decide_one(
        self, exit_number: int, logits: Sequence[float], temperature: float
    ) -> bool | None:
        """Tell whether one image exits at an early exit; see `Rule.decide_one`."""
        threshold = self.thresholds[exit_number - 1]
        if threshold is None:
            return False
        value = confidence_of_one(logits, self.kind, temperature)
        if value is None or abs(value - threshold) <= CLOSE:  # thresholds are values of images
            return None
        return value > threshold

    def condition(self, exit_number: int) -> bool | str:
        """Return when an image exits at an early exit; see `Rule.condition`."""
        threshold = self.thresholds[exit_number - 1]
        if threshold is None:
            return False
        return threshold == 0.0 or f"{CONFIDENCE_WORDS[self.kind]} >= {threshold:.4f}"

    def exits(self, table: ExitTable) -> NDArray[np.int64]:
        """Return the exit (N,), 1 to M, of each image of a cohort, as `assign` does."""
        exits = np.full(table.data.num_images, table.data.num_exits, dtype=np.int64)
        confidences = table.confidences(self.kind)
        for row in reversed(range(table.data.num_exits - 1)):
            threshold = self.thresholds[row]
            if threshold is not None:
                exits[confidences[row] >= threshold] = row + 1
        return exits

    @classmethod
    def tried(cls, table: ExitTable, options: "RuleOptions") -> list[Self]:
        """Return the rules with shared or geometric thresholds for a cohort, safest first."""
        kind, early = _confidence_of(options), table.data.num_exits - 1
        confidences = table.confidences(kind)
        if options.thresholds == "geometric":
            shares = [geometric_shares(early + 1, ratio) for ratio in reversed(RATIOS)]
            geometric = [thresholds_for_shares(confidences, share) for share in shares]
            return [cls(kind=kind, thresholds=thresholds) for thresholds in geometric]
        count = candidates_per_exit(2, options.candidates or DEFAULT_CANDIDATES)
        shared = candidate_thresholds(confidences.ravel(), count)
        return [cls(kind=kind, thresholds=(threshold,) * early) for threshold in shared]

    @classmethod
    def front(
        cls,
        table: ExitTable,
        options: "RuleOptions",
        values: NDArray[np.float32],
        score: Scores,
    ) -> list[Candidate]:
        """Try thresholds and return those that no cheaper ones beat; see `Rule.front`."""
        if options.thresholds not in (None, "per-exit"):
            return super().front(table, options, values, score)
        kind = _confidence_of(options)
        count = candidates_per_exit(table.data.num_exits, options.candidates)
        rows = table.confidences(kind)
        lists = [candidate_thresholds(row, count) for row in rows]
        exiting = [reached(row, thresholds) for row, thresholds in zip(rows, lists, strict=True)]
        screened = screen(exiting, values, np.asarray(table.costs), score)
        return [
            Candidate(
                cls(kind=kind, thresholds=tuple(lists[k][j] for k, j in enumerate(choice))),
                float(cost),
                float(mark),
            )
            for choice, cost, mark in zip(
                screened.choices, screened.costs, screened.scores, strict=True
            )
        ]

    @classmethod
    def ladder(
        cls, table: ExitTable, options: "RuleOptions", start: Candidate, steps: int
    ) -> list[Rule]:
        """Return at most `steps` rules that cost more than `start`, safest first.

        With thresholds per exit, each is raised until a share j / (steps + 1), j = 1..steps, of
        the calibrate images that reach the one of `start` still reach it. See `Rule.ladder`.
        """
        if options.thresholds not in (None, "per-exit") or not isinstance(start.rule, cls):
            return super().ladder(table, options, start, steps)
        kind = start.rule.kind
        rows = list(zip(table.confidences(kind), start.rule.thresholds, strict=True))
        shares = np.arange(1, steps + 1) / (steps + 1)
        rungs = [tuple(raised(*row, float(share)) for row in rows) for share in shares]
        return [cls(kind=kind, thresholds=rung) for rung in rungs if rung.count(None) < len(rung)]


def _confidence_of(options: "RuleOptions") -> ConfidenceName:
    if not is_confidence(options.rule):
        raise ValueError(f"the rule {options.rule} has no confidence")
    return options.rule


def reached(values: NDArray[np.float64], thresholds: tuple[float | None, ...]) -> NDArray[np.bool_]:
    """Return (K, N) which of N confidences reach which of K thresholds; none reach None."""
    masks = np.zeros((len(thresholds), len(values)), dtype=np.bool_)
    for mask, threshold in zip(masks, thresholds, strict=True):
        if threshold is not None:
            np.greater_equal(values, threshold, out=mask)
    return masks


def raised(values: NDArray[np.float64], threshold: float | None, share: float) -> float | None:
    """Return the threshold that a share of the values (N,) reaches which reach the given one."""
    if threshold is None:
        return None
    reaching = np.sort(values[values >= threshold])[::-1]
    count = int(len(reaching) * share)
    return float(reaching[count - 1]) if count else None
