"""Simulated exits whose risks are known exactly: what the guarantee is checked against.

Two classes. An image has a difficulty d, drawn from a grid. Exit k's margin for the true class
(its logit minus the other's) is normal with mean `slope_k · (1 − d) + floor_k` and a standard
deviation; given d the exits are independent. So the chance to leave at an exit, right or wrong,
is a normal distribution function, and every risk and cost is a finite sum over d.
"""

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logit, ndtr

from endoexit.policy.logits import LogitSet
from endoexit.policy.policy import ExitPolicy
from endoexit.policy.risks import RiskName

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
        slopes: (M,) how much easier an easy image is.
        floors: (M,) mean margin of the hardest image.
        deviations: (M,) standard deviation of the margin.
        costs: (M,) of leaving at each exit.
        prevalence: share of class "finding".
        difficulties: grid size of d.
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
        if policy.rule == "fixed":
            at = policy.exit
            cuts = [0.0 if k == at else np.inf for k in range(1, policy.num_exits)]
        else:
            cuts = [
                np.inf if threshold is None else max(0.0, temperature * float(logit(threshold)))
                for threshold, temperature in zip(
                    policy.thresholds, policy.temperatures, strict=False
                )
            ]
        return self._truth([np.asarray(cut) for cut in cuts])

    def _truth(self, cuts: list[NDArray[np.float64]]) -> Truth:
        """Return the truth where exit k keeps images with |margin| under `cuts[k]`.

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

        Found on a grid of `steps` thresholds per exit, "nobody leaves" among them.
        """
        grid = np.append(np.linspace(0.0, 8.0, steps - 1), np.inf)
        best = self.costs[-1]
        early = len(self.costs) - 1
        for first in grid:
            rest: list[ArrayLike] = list(np.meshgrid(*[grid] * (early - 1), indexing="ij"))
            truth = self._truth([np.asarray(first), *(np.asarray(cut) for cut in rest)])
            allowed = truth.cost[truth.risks[risk] <= tolerance]
            best = min(best, *allowed.ravel(), best)
        return float(best)
