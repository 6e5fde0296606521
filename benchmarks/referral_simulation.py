"""A promise on the answered images, again and again, on simulated exits whose truth is known."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from endoexit import make_goal
from endoexit.errors import PolicyError
from endoexit.policy.document import Costs
from endoexit.policy.goals import Guarantee
from endoexit.policy.search import find_policy
from endoexit.policy.simulation import (
    CLASSES,
    ONE_IMAGE_EACH,
    RISK_CLASSES,
    GroupDesign,
    SimulatedExits,
)
from guarantee_simulation import MOSTLY_SINGLE
from repetitions import share_allowed

REPETITIONS = 2000
DELTA, MOST = 0.05, 0.3
# Groups in calibrate and again in certify, with the tolerance. Half of the images are of the class
# whose sensitivity is promised, so its tolerances are larger.
SETTINGS = {
    "error": {100: 0.05, 500: 0.03, 2000: 0.02},
    "sensitivity": {100: 0.1, 500: 0.05, 2000: 0.03},
}
DESIGNS = (ONE_IMAGE_EACH, MOSTLY_SINGLE)


@dataclass(frozen=True)
class Setting:
    """What is repeated: a promise on so many groups of a design."""

    risk: str
    tolerance: float
    groups: int
    design: GroupDesign

    @property
    def goal(self) -> Guarantee:
        """What is asked for."""
        asked = f"{self.risk}<={self.tolerance:g}"
        if (of_class := RISK_CLASSES[self.risk]) is not None:
            asked = f"{self.risk}[{of_class}]>={1 - self.tolerance:g}"
        return make_goal(guarantee=[asked], delta=DELTA, max_referral=MOST)

    @property
    def facts(self) -> dict:
        """What tells its row from the others."""
        (risk,) = self.goal.risks
        return {"promise": risk.words, "groups": self.groups, "design": self.design.name}


def settings() -> Iterator[Setting]:
    """Yield what is repeated."""
    for (risk, sizes), design in itertools.product(SETTINGS.items(), DESIGNS):
        for groups, tolerance in sizes.items():
            yield Setting(risk, tolerance, groups, design)


def is_row_of(row: dict, setting: Setting) -> bool:
    return all(row[name] == value for name, value in setting.facts.items())


def repeat(setting: Setting, repetitions: int) -> dict:
    """Return how often the promise of a setting is broken, and what it costs."""
    network, goal = SimulatedExits(), setting.goal
    costs = Costs(values=network.costs, unit="relative", source="simulated")
    broken, refused, referred, cost = 0, 0, 0.0, 0.0
    for repetition in range(repetitions):
        generator = np.random.default_rng((repetition, setting.groups))
        calibrate, certify = (
            network.draw(setting.groups, generator, name, setting.design)
            for name in ("calibrate", "certify")
        )
        try:
            policy = find_policy(
                goal, calibrate=calibrate, certify=certify, costs=costs, classes=CLASSES
            ).policy
        except PolicyError:
            refused += 1
            continue
        truth = network.truth(policy)
        broken += bool(truth.risks[setting.risk] > setting.tolerance)
        referred += truth.referred
        cost += float(truth.cost)
    promised = max(1, repetitions - refused)
    return {
        **setting.facts,
        "repetitions": repetitions,
        "broken": broken / repetitions,
        "allowed": share_allowed(DELTA, repetitions),
        "refused": refused / repetitions,
        "referred": referred / promised,
        "cost": cost / promised,
    }
