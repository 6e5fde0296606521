"""A cohort at fixed temperatures: confidences once, outcomes of many rules."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from endoexit.policy.confidence import ConfidenceName, confidence
from endoexit.policy.logits import LogitSet


@dataclass(frozen=True)
class Outcome:
    """What a policy does on a cohort.

    Attributes:
        accuracy: Share of right answers.
        cost: Mean cost of an image.
        exit_shares: Share (M,) of the images that exit at each exit.
    """

    accuracy: float
    cost: float
    exit_shares: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class ExitTable:
    """Logits of a cohort with temperatures and costs: what rules are tried on.

    Attributes:
        data: Logits of the cohort.
        temperatures: Softmax temperature (M,) of each exit.
        costs: Cost (M,) of an image that exits at each exit.
    """

    data: LogitSet
    temperatures: tuple[float, ...]
    costs: tuple[float, ...]
    _computed: dict[ConfidenceName, NDArray[np.float64]] = field(
        default_factory=dict, init=False, repr=False
    )

    def confidences(self, name: ConfidenceName) -> NDArray[np.float64]:
        """Return the confidence (M − 1, N) of the early exits; computed once for each name."""
        if name not in self._computed:
            early = zip(self.data.logits[:-1], self.temperatures[:-1], strict=True)
            rows = [confidence(logits, name, temperature) for logits, temperature in early]
            empty = np.empty((0, self.data.num_images))
            self._computed[name] = np.stack(rows) if rows else empty
        return self._computed[name]

    def outcome(self, exits: NDArray[np.int64]) -> Outcome:
        """Return what assigning images to these exits (N,), 1-based, does; see `outcome`."""
        return outcome(self.data, exits, self.costs)


def outcome(data: LogitSet, exits: NDArray[np.int64], costs: tuple[float, ...]) -> Outcome:
    """Return accuracy, mean cost and shares when image n exits at `exits[n]` (1-based)."""
    right = data.correct[exits - 1, np.arange(data.num_images)]
    counts = np.bincount(exits - 1, minlength=data.num_exits)
    shares = counts / data.num_images
    return Outcome(
        accuracy=float(right.mean()),
        cost=float(counts @ np.asarray(costs) / data.num_images),
        exit_shares=tuple(float(share) for share in shares),
    )
