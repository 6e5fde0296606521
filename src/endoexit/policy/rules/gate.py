"""What the learned gates share: weights that are checked, thresholds, fits that are crossed."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from endoexit.errors import PolicyError
from endoexit.policy.features import weigh
from endoexit.policy.folds import parts, require_enough_to_fit
from endoexit.policy.rules.base import Candidate, Rule
from endoexit.policy.rules.judging import best, judged, merits_of
from endoexit.policy.rules.strengths import OPEN, exits_by, reaching, screened_thresholds
from endoexit.policy.rules.threshold import raised
from endoexit.policy.screening import Scores
from endoexit.policy.table import ExitTable

if TYPE_CHECKING:
    from endoexit.policy.options import RuleOptions

# Bounds of what is read: far above any network, far below what fills a memory.
MAX_EXITS, MAX_CLASSES, MAX_WEIGHTS = 1_000, 100_000, 200_000

Number = Annotated[float, Field(strict=True)]
Weights = Annotated[tuple[Number, ...], Field(max_length=MAX_WEIGHTS)]
Values = NDArray[np.float64]


class GateRule(Rule, ABC):
    """An image exits when the value of the gate reaches the threshold of the exit.

    The gate of an exit is a small function of its probabilities with fitted weights.

    Attributes:
        num_classes: Number of classes, C.
        weights: Weights (M − 1 rows) of the gate of each early exit.
        thresholds: Threshold (M − 1,) of each early exit; no image exits where it is None.
    """

    num_classes: Annotated[int, Field(ge=2, le=MAX_CLASSES, strict=True)]
    weights: Annotated[tuple[Weights, ...], Field(max_length=MAX_EXITS)]
    thresholds: Annotated[tuple[Number | None, ...], Field(max_length=MAX_EXITS)]

    @classmethod
    @abstractmethod
    def width(cls, exit_number: int, num_classes: int) -> int:
        """Return how many weights the gate of an early exit has."""

    @abstractmethod
    def features(
        self, logits: NDArray[Any], previous: NDArray[Any], gates: Values, temperature: float
    ) -> Values:
        """Return the features (B, F) that the gate of an early exit weighs; see `Rule.gate`."""

    def value(
        self,
        exit_number: int,
        logits: NDArray[Any],
        previous: NDArray[Any],
        gates: Values,
        temperature: float,
    ) -> Values:
        """Return the value (B,) of the gate of an early exit: the weighted sum of its features."""
        features = self.features(logits, previous, gates, temperature)
        return weigh(features, np.asarray(self.weights[exit_number - 1]))

    def strength(self, gates: Values) -> Values:
        """Return what is compared with the threshold (B,): of the values (B, k) so far the last."""
        return gates[:, -1]

    @abstractmethod
    def strength_words(self) -> str:
        """Return what is compared with the threshold, in words."""

    @classmethod
    @abstractmethod
    def fitted(cls, table: ExitTable, merits: Values) -> list[Self]:
        """Return one fitted rule for each setting of the method, the same settings for any table.

        Args:
            table: Cohort that is fitted on.
            merits: What image n is worth (M, N) when it exits at exit k; see `merits_of`.
        """

    def faults(self, num_exits: int) -> list[str]:
        """Return why the rule does not fit a network with so many exits; empty if it does."""
        early = num_exits - 1
        faults = [
            f"{len(given)} {name}, but the rule {self.kind} with {num_exits} exits takes {early}"
            for name, given in (("rows of weights", self.weights), ("thresholds", self.thresholds))
            if len(given) != early
        ]
        for number, row in enumerate(self.weights, start=1):
            width = self.width(number, self.num_classes)
            if len(row) != width:
                faults.append(
                    f"{len(row)} weights at exit {number}, but the rule {self.kind} with "
                    f"{self.num_classes} classes takes {width} there"
                )
        return faults

    def faults_of_classes(self, num_classes: int) -> list[str]:
        """Return why the rule does not fit a network with so many classes; empty if it does."""
        if num_classes == self.num_classes:
            return []
        return [f"gates for {self.num_classes} classes, but the network has {num_classes}"]

    def gate(
        self,
        exit_number: int,
        logits: NDArray[Any],
        previous: NDArray[Any],
        gates: Values,
        temperature: float,
    ) -> Values:
        """Return the value (B,) of the gate of an early exit; see `Rule.gate`.

        Raises:
            PolicyError: The logits are of another number of classes.
        """
        if logits.shape[1] != self.num_classes:
            raise PolicyError(
                f"the gate was fitted for {self.num_classes} classes, but the logits have "
                f"{logits.shape[1]}: calibrate on the network that is served."
            )
        return self.value(exit_number, logits, previous, gates, temperature)

    def decide(
        self,
        exit_number: int,
        logits: NDArray[Any],
        previous: NDArray[Any],
        temperature: float,
        gates: Values | None = None,
    ) -> NDArray[np.bool_]:
        """Tell which images exit at an early exit; see `Rule.decide`.

        Raises:
            PolicyError: The values of the gates are missing, or of another shape.
        """
        if gates is None or gates.shape != (len(logits), exit_number):
            shape = "none" if gates is None else str(gates.shape)
            raise PolicyError(
                f"the rule {self.kind} needs the values of its gates at exit {exit_number} as "
                f"({len(logits)}, {exit_number}), got {shape}: take them from `ExitPolicy.gate`."
            )
        return reaching(self.strength(gates), self.thresholds[exit_number - 1])

    def condition(self, exit_number: int) -> bool | str:
        """Return when an image exits at an early exit; see `Rule.condition`."""
        threshold = self.thresholds[exit_number - 1]
        if threshold is None:
            return False
        return threshold == OPEN or f"{self.strength_words()} >= {threshold:.4f}"

    def strengths(self, table: ExitTable) -> Values:
        """Return what is compared with the thresholds (M − 1, N) for all images of a cohort."""
        data = table.data
        gates = np.empty((data.num_images, data.num_exits - 1))
        rows = []
        for number, temperature in enumerate(table.temperatures[:-1], start=1):
            previous, logits = data.predictions[: number - 1].T, data.logits[number - 1]
            earlier = gates[:, : number - 1]
            gates[:, number - 1] = self.value(number, logits, previous, earlier, temperature)
            rows.append(self.strength(gates[:, :number]))
        return np.stack(rows)

    def exits(self, table: ExitTable) -> NDArray[np.int64]:
        """Return the exit (N,), 1 to M, of each image of a cohort, as `assign` does."""
        return exits_by(self.strengths(table), self.thresholds)

    @classmethod
    def plain(cls, num_exits: int, num_classes: int) -> tuple[Self, Self]:
        """Return the two rules that need no fit: no image exits early; all exit at exit 1."""
        rows = tuple((0.0,) * cls.width(number, num_classes) for number in range(1, num_exits))
        shut = cls.model_validate({
            "kind": cls.model_fields["kind"].default,
            "num_classes": num_classes,
            "weights": rows,
            "thresholds": (None,) * (num_exits - 1),
        })  # fmt: skip
        return shut, shut.replaced(thresholds=(OPEN,) * (num_exits - 1))

    @classmethod
    def tried(cls, table: ExitTable, options: "RuleOptions") -> list[Self]:
        """Return the rules of this kind that are fitted on a cohort, safest first."""
        require_enough_to_fit(table.data)
        right = table.data.correct.astype(np.float64)
        rules = [
            *cls.plain(table.data.num_exits, table.data.num_classes),
            *cls.fitted(table, right),
        ]
        spent = [table.outcome(rule.exits(table)).cost for rule in rules]
        return [rules[index] for index in np.argsort(spent, kind="stable")[::-1]]

    @classmethod
    def front(
        cls,
        table: ExitTable,
        options: "RuleOptions",
        values: NDArray[np.float32],
        score: Scores,
    ) -> list[Candidate]:
        """Fit rules and return those that no cheaper one beats; see `Rule.front`.

        Costs and scores are out of sample: each image is judged by weights that were fitted in the
        same way on four fifths of the cohort, without it and its group. The rules that are
        returned are fitted on all images. For each setting there are the thresholds of the method,
        fitted with the weights, and those that are best on the crossed strengths, chosen as for a
        confidence.
        """
        require_enough_to_fit(table.data)
        merits = merits_of(values, score)
        candidates = []
        for rule in cls.plain(table.data.num_exits, table.data.num_classes):
            candidates.append(judged(rule, rule.exits(table), table, values, score))
        crossed = zip(cls.fitted(table, merits), *cls._crossed(table, merits), strict=True)
        for rule, exits, strengths in crossed:
            candidates.append(judged(rule, exits, table, values, score))
            for thresholds in screened_thresholds(strengths, table, values, score):
                tried, taken = rule.replaced(thresholds=thresholds), exits_by(strengths, thresholds)
                candidates.append(judged(tried, taken, table, values, score))
        return best(candidates)

    @classmethod
    def _crossed(cls, table: ExitTable, merits: Values) -> tuple[NDArray[np.int64], Values]:
        """Return exits (S, N) and strengths (S, M − 1, N) of all images and settings.

        Those of an image are by rules that were fitted without it.
        """
        data, exits, strengths = table.data, np.empty((0, 0), np.int64), np.empty((0, 0, 0))
        for looking, outside, rules in cls.crossed_fits(table, merits):
            if not len(exits):
                exits = np.empty((len(rules), data.num_images), dtype=np.int64)
                strengths = np.empty((len(rules), data.num_exits - 1, data.num_images))
            for row, rule in enumerate(rules):
                exits[row, looking] = rule.exits(outside)
                strengths[row][:, looking] = rule.strengths(outside)
        return exits, strengths

    @classmethod
    def crossed_fits(
        cls, table: ExitTable, merits: Values
    ) -> Iterator[tuple[NDArray[np.bool_], ExitTable, list[Self]]]:
        """Yield a fifth of the images, as mask and table, with the rules fitted on the others."""
        for fitting, looking, inside, outside in parts(table):
            yield looking, outside, cls.fitted(inside, merits[:, fitting])

    @classmethod
    def ladder(
        cls, table: ExitTable, options: "RuleOptions", start: Candidate, steps: int
    ) -> list[Rule]:
        """Return at most `steps` rules that cost more than `start`, safest first.

        Each threshold is raised until a share j / (steps + 1), j = 1..steps, of the calibrate
        images that reach the one of `start` still reach it. See `Rule.ladder`.
        """
        if not isinstance(start.rule, cls):
            return super().ladder(table, options, start, steps)
        rows = list(zip(start.rule.strengths(table), start.rule.thresholds, strict=True))
        shares = np.arange(1, steps + 1) / (steps + 1)
        rungs = [tuple(raised(*row, float(share)) for row in rows) for share in shares]
        return [
            start.rule.replaced(thresholds=rung) for rung in rungs if rung.count(None) < len(rung)
        ]
