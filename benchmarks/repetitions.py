"""The guarantee repeated on simulated exits: how often it breaks, and what it saves."""

import math
from dataclasses import dataclass

import numpy as np

from endoexit.errors import PolicyError
from endoexit.policy.document import Costs
from endoexit.policy.goals import Guarantee
from endoexit.policy.guarantee import LADDER_STEPS, certify_sequence
from endoexit.policy.logits import LogitSet
from endoexit.policy.options import RuleOptions
from endoexit.policy.policy import ExitPolicy
from endoexit.policy.risks import loss_table
from endoexit.policy.rules.base import Candidate
from endoexit.policy.rules.fixed import FixedRule
from endoexit.policy.rules.threshold import ThresholdRule
from endoexit.policy.search import find_policy
from endoexit.policy.simulation import CLASSES, ONE_IMAGE_EACH, GroupDesign, SimulatedExits
from endoexit.policy.table import ExitTable
from endoexit.policy.units import UnitLosses


@dataclass(frozen=True)
class Repetitions:
    """What the guarantee did over many repetitions of calibrate and certify.

    Attributes:
        risk: Label of the risk, such as "missed[finding]".
        tolerance: Largest risk that is accepted, ε.
        delta: Chance that the guarantee fails, δ.
        design: Groups of the cohorts, in words.
        groups: Number of groups in calibrate, and again in certify.
        repetitions: Number of repetitions.
        violations: Share of repetitions whose policy has a true risk above ε.
        naive_violations: The same share for the cheapest policy that kept ε on calibrate, untested.
        fallbacks: Share of repetitions that ended with "final exit always", or without a policy
            because a risk against the labels could not be proven.
        saving: Mean true share of the cost that the policies save.
        betting_saving: The same where the same candidates are tested by betting on group means;
            None where images were counted and their losses are 0 or 1.
        best_saving: Share that the best thresholds save, with the truth known.
    """

    risk: str
    tolerance: float
    delta: float
    design: str
    groups: int
    repetitions: int
    violations: float
    naive_violations: float
    fallbacks: float
    saving: float
    betting_saving: float | None
    best_saving: float

    @property
    def allowed(self) -> float:
        """Largest share of repetitions in which the promise may be broken."""
        return share_allowed(self.delta, self.repetitions)


def share_allowed(delta: float, repetitions: int) -> float:
    """Return δ and three standard errors of a share of δ."""
    return delta + 3.0 * math.sqrt(delta * (1.0 - delta) / repetitions)


def repeat_guarantee(
    network: SimulatedExits,
    goal: Guarantee,
    *,
    groups: int,
    repetitions: int,
    seed: int,
    design: GroupDesign = ONE_IMAGE_EACH,
) -> Repetitions:
    """Draw calibrate and certify again and again, and hold each policy against the truth.

    Args:
        network: Simulated network that images are drawn from.
        goal: Guarantee of one risk.
        groups: Number of groups in each of the two cohorts.
        repetitions: Number of repetitions.
        seed: Random seed of the draws; repetition i is the same for every goal.
        design: Sizes of the groups, and how alike their images are.
    """
    (risk,) = goal.risks
    costs = Costs(values=network.costs, unit="relative", source="simulated")
    compares = design is not ONE_IMAGE_EACH or not risk.binary
    broken, naive, fallbacks, saved, by_betting = 0, 0, 0, 0.0, 0.0
    for repetition in range(repetitions):
        generator = np.random.default_rng((seed, groups, repetition))
        calibrate = network.draw(groups, generator, "calibrate", design)
        certify = network.draw(groups, generator, "certify", design)
        try:
            policy = find_policy(
                goal, calibrate=calibrate, certify=certify, costs=costs, classes=CLASSES
            ).policy
        except PolicyError:  # an absolute risk that not even the final exit is proven to keep
            fallbacks += 1
            continue
        truth = network.truth(policy)
        broken += bool(truth.risks[risk.name] > risk.tolerance)
        fallbacks += policy.fell_back
        saved += float(1.0 - truth.cost / network.costs[-1])
        kept = next((point for point in policy.front if point.score >= 0.0), None)
        if kept is not None:
            cheapest = policy.replaced(rule=kept.rule, promises=())
            naive += bool(network.truth(cheapest).risks[risk.name] > risk.tolerance)
        if compares:
            bet = _tested_by_betting(policy, goal, calibrate, certify)
            by_betting += float(1.0 - network.truth(bet).cost / network.costs[-1])
    best = network.best_cost(risk.name, risk.tolerance)
    return Repetitions(
        risk=risk.label,
        tolerance=risk.tolerance,
        delta=goal.delta,
        design=design.name,
        groups=groups,
        repetitions=repetitions,
        violations=broken / repetitions,
        naive_violations=naive / repetitions,
        fallbacks=fallbacks / repetitions,
        saving=saved / repetitions,
        betting_saving=by_betting / repetitions if compares else None,
        best_saving=1.0 - best / network.costs[-1],
    )


def _tested_by_betting(
    policy: ExitPolicy, goal: Guarantee, calibrate: LogitSet, certify: LogitSet
) -> ExitPolicy:
    """Return the policy that the same candidates give when group means are bet on."""
    (risk,) = goal.risks
    table = ExitTable(calibrate, policy.temperatures, policy.costs.values if policy.costs else ())
    safest = Candidate(policy.front[-1].rule, policy.front[-1].cost, policy.front[-1].score)
    rungs = ThresholdRule.ladder(table, RuleOptions(), safest, LADDER_STEPS)
    groups = np.arange(certify.num_images) if certify.groups is None else certify.groups
    units = UnitLosses(
        loss_table(risk, certify, CLASSES), np.unique(groups, return_inverse=True)[1], "mean"
    )
    certified = certify_sequence(
        [*rungs, *(point.rule for point in reversed(policy.front))],
        ExitTable(certify, table.temperatures, table.costs),
        [units],
        goal.delta,
    )
    return policy.replaced(rule=certified.rule or FixedRule(exit=policy.num_exits), promises=())
