"""What every rule answers: the decision at an exit, on a whole cohort, in words, its candidates."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from endoexit.documents import Worded
from endoexit.errors import PolicyError
from endoexit.policy.screening import Scores, pareto_front
from endoexit.policy.table import ExitTable

if TYPE_CHECKING:
    from endoexit.policy.options import RuleOptions

RuleKind = Literal[
    "max_probability",
    "entropy",
    "margin",
    "patience",
    "fixed",
    "linear_gate",
    "jei_dnn",
    "eenet",
]


class Rule(Worded, ABC):
    """A kind of decision with its numbers.

    Attributes:
        kind: Name of the rule; tells the rules apart in `policy.json`.
    """

    fault = PolicyError
    remedy = "Correct it, or make the policy again with `endoexit calibrate`."

    kind: RuleKind

    @abstractmethod
    def faults(self, num_exits: int) -> list[str]:
        """Return why the rule does not fit a network with so many exits; empty if it does."""

    @abstractmethod
    def decide(
        self,
        exit_number: int,
        logits: NDArray[Any],
        previous: NDArray[Any],
        temperature: float,
        gates: NDArray[np.float64] | None = None,
    ) -> NDArray[np.bool_]:
        """Tell which images exit at an early exit.

        Args:
            exit_number: The exit k, 1 to M − 1.
            logits: Logits (B, C) of exit k, of the images that have not exited yet.
            previous: Labels (B, k − 1) that the earlier exits gave them.
            temperature: Softmax temperature of exit k.
            gates: Values (B, k) of the gates of exits 1 to k; see `gate`. A rule without gates
                does not look at them.
        """

    def decide_one(
        self, exit_number: int, logits: Sequence[float], temperature: float
    ) -> bool | None:
        """Tell whether one image exits at an early exit, where that is certain without arrays.

        Args:
            exit_number: The exit k, 1 to M − 1.
            logits: Logits (C,) of exit k.
            temperature: Softmax temperature of exit k.

        Returns:
            What `decide` answers; None where `decide` must be asked.
        """
        return None

    def gate(
        self,
        exit_number: int,
        logits: NDArray[Any],
        previous: NDArray[Any],
        gates: NDArray[np.float64],
        temperature: float,
    ) -> NDArray[np.float64] | None:
        """Return the value (B,) of the gate of an early exit; None for a rule without gates.

        The decisions at this exit and at later ones need it, so whoever runs the stages keeps it
        for each image.

        Args:
            exit_number: The exit k, 1 to M − 1.
            logits: Logits (B, C) of exit k, of the images that have not exited yet.
            previous: Labels (B, k − 1) that the earlier exits gave them.
            gates: Values (B, k − 1) of the gates of the earlier exits.
            temperature: Softmax temperature of exit k.
        """
        return None

    @abstractmethod
    def condition(self, exit_number: int) -> bool | str:
        """Return when an image exits at an early exit: in words, True always, False never."""

    @classmethod
    @abstractmethod
    def tried(cls, table: ExitTable, options: "RuleOptions") -> list[Self]:
        """Return the rules of this kind that are tried on a cohort, safest first."""

    def assign(self, logits: NDArray[Any], temperatures: Sequence[float]) -> NDArray[np.int64]:
        """Return the exit (N,), 1 to M, of each image.

        Args:
            logits: Logits (M, N, C) of all exits.
            temperatures: Softmax temperature (M,) of each exit.
        """
        labels = logits.argmax(axis=2)
        exits = np.full(logits.shape[1], len(logits), dtype=np.int64)
        inside = np.arange(logits.shape[1])
        gates = np.empty((logits.shape[1], len(logits)))
        for number, temperature in enumerate(temperatures[:-1], start=1):
            previous, scores = labels[: number - 1, inside].T, logits[number - 1, inside]
            earlier = gates[inside, : number - 1]
            value = self.gate(number, scores, previous, earlier, temperature)
            if value is not None:
                gates[inside, number - 1] = value
            now = gates[inside, :number]
            exiting = self.decide(number, scores, previous, temperature, now)
            exits[inside[exiting]] = number
            inside = inside[~exiting]
        return exits

    def exits(self, table: ExitTable) -> NDArray[np.int64]:
        """Return the exit (N,), 1 to M, of each image of a cohort, as `assign` does.

        A rule that can reuse work over many rules on one cohort overrides this.
        """
        return self.assign(table.data.logits, table.temperatures)

    @classmethod
    def front(
        cls,
        table: ExitTable,
        options: "RuleOptions",
        values: NDArray[np.float32],
        score: Scores,
    ) -> "list[Candidate]":
        """Try rules of this kind and return those that no cheaper one beats.

        Args:
            table: The calibrate cohort.
            options: Which rules are tried.
            values: Whole numbers (R, M, N): what image n adds to total r when it exits at exit k.
            score: Function of totals (R, ...) that returns what to keep high (...).

        Returns:
            Cheapest first, scores rising.
        """
        rules = cls.tried(table, options)
        costs, rows = np.asarray(table.costs), np.arange(table.data.num_images)
        exits = [rule.exits(table) - 1 for rule in rules]
        means = np.array([costs[taken].mean() for taken in exits])
        totals = np.array([values[:, taken, rows].sum(axis=1) for taken in exits], dtype=np.float64)
        scores = score(totals.T)
        kept = pareto_front(means, scores)
        return [Candidate(rules[i], float(means[i]), float(scores[i])) for i in kept]

    @classmethod
    def ladder(
        cls, table: ExitTable, options: "RuleOptions", start: "Candidate", steps: int
    ) -> "list[Rule]":
        """Return at most `steps` rules that cost more than `start`, safest first.

        A test sequence that begins with them does not end at once when the front's safest rule
        was merely lucky on calibrate.
        """
        dearer: list[tuple[float, Rule]] = []
        for rule in cls.tried(table, options):
            cost = table.outcome(rule.exits(table)).cost
            if cost > start.cost:
                dearer.append((cost, rule))
        dearer.sort(key=lambda pair: pair[0], reverse=True)
        places = np.unique(np.linspace(0, len(dearer) - 1, steps).round().astype(int))
        return [dearer[place][1] for place in places] if dearer else []


@dataclass(frozen=True)
class Candidate:
    """A rule on the front.

    Attributes:
        rule: Rule with its numbers.
        cost: Mean cost of an image on calibrate.
        score: What is to be kept high, on calibrate.
        crossed: Exit (N,) of each image of calibrate by a rule that was fitted in the same way
            without it: the cost and the score are those of these exits. None for a rule whose
            numbers are tried, not fitted.
    """

    rule: Rule
    cost: float
    score: float
    crossed: NDArray[np.int64] | None = field(default=None, compare=False, repr=False)

    def exits(self, table: ExitTable) -> NDArray[np.int64]:
        """Return the exit (N,) of each image of calibrate, where known by a rule without it."""
        return self.rule.exits(table) if self.crossed is None else self.crossed
