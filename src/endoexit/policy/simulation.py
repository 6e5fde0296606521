"""Simulated exits whose risks are known exactly: what the guarantee is checked against.

Two classes. An image has a difficulty d, drawn from a grid. Exit k's margin for the true class
(its logit minus the other's) is normal with mean `slope_k · (1 − d) + floor_k` and a standard
deviation; given d the exits are independent. So the chance to exit at an exit, right or wrong,
is a normal distribution function, and every risk and cost is a finite sum over d.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit, ndtr

from endoexit.policy.document import Costs
from endoexit.policy.goals import Guarantee
from endoexit.policy.logits import LogitSet
from endoexit.policy.policy import ExitPolicy
from endoexit.policy.risks import RiskName
from endoexit.policy.rules.fixed import FixedRule
from endoexit.policy.rules.threshold import ThresholdRule
from endoexit.policy.search import find_policy

CLASSES = ("other", "finding")
RISK_CLASSES: dict[RiskName, str | None] = {
    "disagreement": None,
    "accuracy_loss": None,
    "missed": "finding",
}


@dataclass(frozen=True, eq=False)
class Truth:
    """Exact mean cost and exact risk of a policy, or of many (arrays)."""

    cost: NDArray[np.float64]
    risks: dict[RiskName, NDArray[np.float64]]


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

    def draw(self, images: int, generator: np.random.Generator, name: str) -> LogitSet:
        """Draw independent images."""
        difficulty = generator.integers(self.difficulties, size=images)
        noise = generator.standard_normal((len(self.costs), images))
        margins = self._means[:, difficulty] + np.asarray(self.deviations)[:, None] * noise
        labels = (generator.random(images) < self.prevalence).astype(np.int64)
        signed = np.where(labels == 1, margins, -margins)
        return LogitSet(name, np.stack([-signed / 2, signed / 2], axis=-1), labels)

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
        return self._truth([np.asarray(cut) for cut in cuts])

    def _truth(self, cuts: list[NDArray[np.float64]]) -> Truth:
        """Return the truth where images with |margin| under `cuts[k]` continue after exit k.

        Args:
            cuts: M − 1 arrays of shapes that broadcast.
        """
        right_at_end = ndtr(self._means[-1] / self.deviations[-1])
        inside: NDArray[np.float64] = np.ones(self.difficulties)
        cost: NDArray[np.float64] = np.zeros(())
        lost, found = np.zeros(()), np.zeros(())
        for mean, deviation, cut, price in zip(
            self._means, self.deviations, cuts, self.costs, strict=False
        ):
            right = ndtr((mean - cut[..., None]) / deviation)
            wrong = ndtr((-mean - cut[..., None]) / deviation)
            cost = cost + price * (inside * (right + wrong)).mean(axis=-1)
            lost = lost + (inside * wrong * right_at_end).mean(axis=-1)
            found = found + (inside * right * (1.0 - right_at_end)).mean(axis=-1)
            inside = inside * (1.0 - right - wrong)
        cost = cost + self.costs[-1] * inside.mean(axis=-1)
        risks: dict[RiskName, NDArray[np.float64]] = {
            "disagreement": lost + found,
            "accuracy_loss": lost - found,
            "missed": lost,
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


@dataclass(frozen=True)
class Repetitions:
    """What the guarantee did over many repetitions of calibrate and certify.

    Attributes:
        risk: Label of the risk, such as "missed[finding]".
        tolerance: Largest risk that is accepted, ε.
        delta: Chance that the guarantee fails, δ.
        images: Number of images in calibrate, and again in certify.
        repetitions: Number of repetitions.
        violations: Share of repetitions whose policy has a true risk above ε.
        naive_violations: The same share for the cheapest policy that kept ε on calibrate, untested.
        fallbacks: Share of repetitions that ended with "final exit always".
        saving: Mean true share of the cost that the policies save.
        best_saving: Share that the best thresholds save, with the truth known.
    """

    risk: str
    tolerance: float
    delta: float
    images: int
    repetitions: int
    violations: float
    naive_violations: float
    fallbacks: float
    saving: float
    best_saving: float

    @property
    def allowed(self) -> float:
        """δ and three standard errors of a share of δ."""
        return self.delta + 3.0 * math.sqrt(self.delta * (1.0 - self.delta) / self.repetitions)


def repeat_guarantee(
    network: SimulatedExits,
    goal: Guarantee,
    images: int,
    repetitions: int,
    seed: int,
) -> Repetitions:
    """Draw calibrate and certify again and again, and hold each policy against the truth.

    Args:
        network: Simulated network that images are drawn from.
        goal: Guarantee of one risk.
        images: Number of images in each of the two cohorts.
        repetitions: Number of repetitions.
        seed: Random seed of the draws; repetition i is the same for every goal.
    """
    (risk,) = goal.risks
    costs = Costs(values=network.costs, unit="relative", source="simulated")
    broken, naive, fallbacks, saved = 0, 0, 0, 0.0
    for repetition in range(repetitions):
        generator = np.random.default_rng((seed, images, repetition))
        policy = find_policy(
            goal,
            calibrate=network.draw(images, generator, "calibrate"),
            certify=network.draw(images, generator, "certify"),
            costs=costs,
            classes=CLASSES,
        ).policy
        truth = network.truth(policy)
        broken += bool(truth.risks[risk.name] > risk.tolerance)
        fallbacks += policy.fell_back
        saved += float(1.0 - truth.cost / network.costs[-1])
        kept = next(point for point in policy.front if point.score >= 0.0)
        cheapest = policy.replaced(rule=kept.rule, promises=())
        naive += bool(network.truth(cheapest).risks[risk.name] > risk.tolerance)
    best = network.best_cost(risk.name, risk.tolerance)
    return Repetitions(
        risk=risk.label,
        tolerance=risk.tolerance,
        delta=goal.delta,
        images=images,
        repetitions=repetitions,
        violations=broken / repetitions,
        naive_violations=naive / repetitions,
        fallbacks=fallbacks / repetitions,
        saving=saved / repetitions,
        best_saving=1.0 - best / network.costs[-1],
    )
