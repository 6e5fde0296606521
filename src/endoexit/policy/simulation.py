"""Simulated exits whose risks are known exactly: what the guarantee is checked against.

Two classes. An image has a difficulty d, drawn from a grid. Exit k's margin for the true class
(its logit minus the other's) is normal with mean `slope_k · (1 − d) + floor_k` and a standard
deviation; given d the exits are independent. So the chance to exit at an exit, right or wrong,
is a normal distribution function, and every risk and cost is a finite sum over d.

Images of one group have the same class and difficulty, and margins that are alike. Each alone is
distributed as any other image, whatever the size of its group, so the risk of groups is the risk
of images.
"""

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit, ndtr

from endoexit.policy.logits import LogitSet
from endoexit.policy.policy import ExitPolicy
from endoexit.policy.risks import ABSOLUTE, RiskName
from endoexit.policy.rules.fixed import FixedRule
from endoexit.policy.rules.threshold import ThresholdRule

CLASSES = ("other", "finding")
_ALMOST_ONE = float(np.nextafter(1.0, 0.0))
RISK_CLASSES: dict[RiskName, str | None] = {
    "disagreement": None,
    "accuracy_loss": None,
    "missed": "finding",
    "error": None,
    "sensitivity": "finding",
    "specificity": "finding",
}


@dataclass(frozen=True, eq=False)
class Truth:
    """Exact mean cost, risks and share of referred images of a policy, or of many (arrays)."""

    cost: NDArray[np.float64]
    risks: dict[RiskName, NDArray[np.float64]]
    referred: float = 0.0


@dataclass(frozen=True)
class GroupDesign:
    """How large the groups of a cohort are, and how alike their images.

    Attributes:
        name: Design in words.
        sizes: Numbers of images of a group; each is as likely.
        likeness: Correlation of the margins of two images of one group, given their difficulty.
    """

    name: str
    sizes: tuple[int, ...]
    likeness: float


ONE_IMAGE_EACH = GroupDesign("one image each", (1,), 0.0)


@dataclass(frozen=True)
class SimulatedExits:
    """A network of M exits on two classes.

    Attributes:
        slopes: Gain of the mean margin (M,) from the hardest image to the easiest.
        floors: Mean margin (M,) of the hardest image.
        deviations: Standard deviation (M,) of the margin.
        costs: Cost (M,) of an image that exits at each exit.
        prevalence: Share of class "finding".
        difficulties: Number of grid points of d.
    """

    slopes: tuple[float, ...] = (5.0, 6.5, 8.0)
    floors: tuple[float, ...] = (-0.6, -0.2, 0.3)
    deviations: tuple[float, ...] = (1.2, 1.1, 1.0)
    costs: tuple[float, ...] = (0.3, 0.6, 1.0)
    prevalence: float = 0.5
    difficulties: int = 50

    @functools.cached_property
    def _means(self) -> NDArray[np.float64]:
        """(M, D) mean margin."""
        ease = 1.0 - (np.arange(self.difficulties) + 0.5) / self.difficulties
        return np.asarray(np.outer(self.slopes, ease) + np.asarray(self.floors)[:, None])

    def draw(
        self,
        groups: int,
        generator: np.random.Generator,
        name: str,
        design: GroupDesign = ONE_IMAGE_EACH,
    ) -> LogitSet:
        """Draw independent groups of images; groups of one image have no numbers."""
        difficulty = generator.integers(self.difficulties, size=groups)
        noise = generator.standard_normal((len(self.costs), groups))
        labels = (generator.random(groups) < self.prevalence).astype(np.int64)
        numbers = None
        if design is not ONE_IMAGE_EACH:
            sizes = generator.choice(design.sizes, size=groups)
            members = np.repeat(np.arange(groups), sizes)
            individual = generator.standard_normal((len(self.costs), len(members)))
            noise = np.sqrt(design.likeness) * noise[:, members]
            noise += np.sqrt(1.0 - design.likeness) * individual
            difficulty, labels = difficulty[members], labels[members]
            numbers = np.char.add(f"{name} ", members.astype(str))
        margins = self._means[:, difficulty] + np.asarray(self.deviations)[:, None] * noise
        signed = np.where(labels == 1, margins, -margins)
        return LogitSet(name, np.stack([-signed / 2, signed / 2], axis=-1), labels, numbers)

    def truth(self, policy: ExitPolicy) -> Truth:
        """Return what a policy with the rule `max_probability`, or a fixed exit, really does."""
        rule = policy.rule
        if isinstance(rule, FixedRule):
            cuts = [0.0 if k == rule.exit else np.inf for k in range(1, policy.num_exits)]
        elif isinstance(rule, ThresholdRule) and rule.kind == "max_probability":
            pairs = zip(rule.thresholds, policy.temperatures, strict=False)
            cuts = [
                np.inf if threshold is None else max(0.0, temperature * float(logit(threshold)))
                for threshold, temperature in pairs
            ]
        else:
            raise ValueError(f"the truth is known for max_probability and fixed, not {rule.kind}")
        truth = self._truth([np.asarray(cut) for cut in cuts])
        return truth if policy.referral is None else self._with_referral(truth, cuts, policy)

    def _with_referral(self, truth: Truth, cuts: Sequence[float], policy: ExitPolicy) -> Truth:
        """Return the truth with the risks against the labels of the answered images only.

        Whether an image is unsure depends on how many of the earlier exits agree with the final
        one, so every combination of right and wrong exits is summed.
        """
        unsure = None if policy.referral is None else policy.referral.unsure
        if policy.referral is None or unsure is None or policy.referral.unlike is not None:
            raise ValueError("the truth is known for images that are unsure, not for unlike ones")
        spread = np.asarray(self.deviations)[:, None]
        early = np.array(cuts)[:, None]
        middle = ndtr(-self._means[:-1] / spread[:-1])
        right = ndtr((early - self._means[:-1]) / spread[:-1]) - middle
        wrong = middle - ndtr((-early - self._means[:-1]) / spread[:-1])

        def cut(agreeing: int) -> float:
            margin = unsure.threshold * len(self.costs) / agreeing
            if margin > 1.0:
                return float("inf")
            # A margin of 1 is one that rounds to it.
            return policy.temperatures[-1] * float(logit(min((1.0 + margin) / 2.0, _ALMOST_ONE)))

        answered_right, answered_wrong = 0.0, 0.0
        for signs in itertools.product((True, False), repeat=len(cuts)):
            inside = np.where(np.array(signs)[:, None], right, wrong).prod(axis=0)
            for sign in (True, False):
                least = cut(1 + signs.count(sign))
                mean = self._means[-1] if sign else -self._means[-1]
                share = float((inside * ndtr((mean - least) / spread[-1])).mean())
                answered_right += share * sign
                answered_wrong += share * (not sign)
        inside = (right + wrong).prod(axis=0)
        referred = float(inside.mean()) - answered_right - answered_wrong
        right_at_end = ndtr(self._means[-1] / spread[-1])
        early_wrong = float(truth.risks["error"]) - float((inside * (1.0 - right_at_end)).mean())
        error = np.asarray((early_wrong + answered_wrong) / (1.0 - referred))
        risks = dict.fromkeys(ABSOLUTE, error)
        return Truth(truth.cost, truth.risks | risks, referred)

    def _truth(self, cuts: list[NDArray[np.float64]]) -> Truth:
        """Return the truth where images with |margin| under `cuts[k]` continue after exit k.

        Args:
            cuts: M − 1 arrays of shapes that broadcast.
        """
        right_at_end = ndtr(self._means[-1] / self.deviations[-1])
        inside: NDArray[np.float64] = np.ones(self.difficulties)
        cost: NDArray[np.float64] = np.zeros(())
        lost, gained, false = np.zeros(()), np.zeros(()), np.zeros(())
        for mean, deviation, cut, price in zip(
            self._means, self.deviations, cuts, self.costs, strict=False
        ):
            right = ndtr((mean - cut[..., None]) / deviation)
            wrong = ndtr((-mean - cut[..., None]) / deviation)
            cost = cost + price * (inside * (right + wrong)).mean(axis=-1)
            lost = lost + (inside * wrong * right_at_end).mean(axis=-1)
            gained = gained + (inside * right * (1.0 - right_at_end)).mean(axis=-1)
            false = false + (inside * wrong).mean(axis=-1)
            inside = inside * (1.0 - right - wrong)
        cost = cost + self.costs[-1] * inside.mean(axis=-1)
        false = false + (inside * (1.0 - right_at_end)).mean(axis=-1)
        risks: dict[RiskName, NDArray[np.float64]] = {
            "disagreement": lost + gained,
            "accuracy_loss": lost - gained,
            "missed": lost,
            # The classes mirror each other, so both are mistaken for the other equally often.
            "error": false,
            "sensitivity": false,
            "specificity": false,
        }
        return Truth(cost, risks)

    def best_cost(self, risk: RiskName, tolerance: float, steps: int = 240) -> float:
        """Return the least cost of any thresholds whose true risk is at most the tolerance.

        The search runs on a grid of `steps` thresholds per exit; "no image exits" is one of them.
        """
        grid = np.append(np.linspace(0.0, 8.0, steps - 1), np.inf)
        early = len(self.costs) - 1
        rest = np.meshgrid(*[grid] * (early - 1), indexing="ij")
        best = self.costs[-1]
        for first in grid:  # one axis at a time, for the memory
            truth = self._truth([np.asarray(first), *rest])
            allowed = truth.cost[truth.risks[risk] <= tolerance]
            best = min(best, float(allowed.min(initial=best)))
        return best
