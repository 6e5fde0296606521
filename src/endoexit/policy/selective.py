"""Guarantees on the answered images: refer few, and prove the rest right enough.

The test is that of selective classification (Geifman and El-Yaniv 2017, "Selective
classification for deep neural networks"). For a policy that was fixed before certify was seen,
whether an image is answered and whether it is answered wrong are the same for every image in
distribution. So, given which of n independent images are answered, the a answered ones are wrong
independently, each with the chance R that the promise is about, and the number of wrong answers is
Binomial(a, R). The exact binomial p-value P(Binomial(a, ε) ≤ wrong) is therefore valid for every
a, and so also on average over a. With no image answered it is 1. The number of referred images
may be whatever it is: no correction is needed for it.

Many policies are tested in a fixed order, from one that refers as many images as is allowed to one
that refers few, until one fails (see `certify_sequence`, whose argument needs no more than a valid
p-value for each). Where images have groups, one image is drawn from each group before anything is
seen: the drawn images are independent, and those of them that are answered are tested.
"""

import numpy as np

from endoexit.errors import PolicyError, UsageError
from endoexit.policy.choice import Chosen
from endoexit.policy.document import FrontPoint
from endoexit.policy.goals import GroupValue, Guarantee
from endoexit.policy.guarantee import not_promised, promised, require_enough, tested
from endoexit.policy.logits import LogitSet
from endoexit.policy.options import RuleOptions
from endoexit.policy.pairs import Cohort, Pair, in_order, pairs_of
from endoexit.policy.referral import AnyUnlike, Referral, Unsure
from endoexit.policy.risks import loss_table
from endoexit.policy.rules.fixed import FixedRule
from endoexit.policy.table import ExitTable, outcome
from endoexit.policy.units import UnitLosses, counting, dependence

EVERY_IMAGE_AT_THE_FINAL_EXIT = (
    "With early exits, no policy that refers so few could be proven: every image uses the final "
    "exit."
)


def answered_guarantee(
    goal: Guarantee,
    table: ExitTable,
    certify: LogitSet,
    classes: tuple[str, ...],
    options: RuleOptions,
    *,
    unlike: AnyUnlike | None,
) -> Chosen:
    """Return the policy that refers fewest images with every risk proven among the answered.

    Args:
        goal: Guarantee with `max_referral`.
        table: The calibrate cohort.
        certify: Logits of the certify role.
        classes: Names in the order of the logits.
        options: Which rules are tried.
        unlike: Referral of images that look unlike, fitted on calibrate; None for none.

    Raises:
        PolicyError: Certify is too small, or no policy that refers so few could be proven.
        UsageError: A class in the goal does not exist; more may be unlike than referred.
    """
    if goal.max_referral is None:
        raise ValueError("this guarantee answers every image")
    if unlike is not None and unlike.share >= goal.max_referral:
        raise UsageError(
            f"unlike images may be {unlike.share:g} of all, which leaves none of the "
            f"{goal.max_referral:g} for unsure ones: lower --refer-unlike, or raise --max-referral."
        )
    counted = counting(goal.unit, certify)
    known = [loss_table(risk, table.data, classes) for risk in goal.risks]
    value: GroupValue = "mean" if counted.groups is None else "one image"
    risks = [
        UnitLosses(loss_table(loss.risk, certify, classes), counted.groups, value) for loss in known
    ]
    require_enough(risks, goal.delta)
    here = Cohort.of(table, unlike)
    pairs = pairs_of(here, known, goal, options)
    sequence, front = in_order(pairs)
    fresh = Cohort.of(ExitTable(certify, table.temperatures, table.costs), unlike)
    trials = tested(
        ((pair.rule, *fresh.decide(pair.rule, pair.threshold)) for pair in sequence),
        risks,
        goal.delta,
    )
    passed = len(trials) - (not trials[-1].passed)
    if not passed:
        exits, answered = fresh.decide(sequence[0].rule, sequence[0].threshold)
        raise PolicyError(not_promised(risks, exits, goal.delta, answered, goal.max_referral))
    pair, tests = sequence[passed - 1], trials[passed - 1].tests
    promises = tuple(
        promised(test, units, goal.delta).replaced(
            referred=1.0 - test.images / units.count, unit_reason=counted.reason
        )
        for test, units in zip(tests, risks, strict=True)
    )
    p_values = {
        id(candidate): trial.p_value for candidate, trial in zip(sequence, trials, strict=False)
    }
    final = isinstance(pair.rule, FixedRule) and pair.rule.exit == table.data.num_exits
    notes = [EVERY_IMAGE_AT_THE_FINAL_EXIT if final else None, dependence(counted, certify)]
    return Chosen(
        pair.rule,
        tuple(_point(candidate, here, p_values.get(id(candidate))) for candidate in front),
        referral=_referral(pair.threshold, unlike),
        promises=promises,
        note=" ".join(filter(None, notes)) or None,
        trials=trials,
        crossed=pair.exits,
    )


def _referral(threshold: float | None, unlike: AnyUnlike | None) -> Referral | None:
    unsure = None if threshold is None else Unsure(threshold=threshold)
    return None if unsure is None and unlike is None else Referral(unsure=unsure, unlike=unlike)


def _point(pair: Pair, here: Cohort, p_value: float | None) -> FrontPoint:
    exits = pair.exits
    answered = here.answered(exits, pair.threshold)
    data = here.table.data
    right = data.correct[exits - 1, np.arange(data.num_images)]
    return FrontPoint(
        rule=pair.rule,
        cost=pair.cost,
        score=pair.score,
        accuracy=float(right[answered].mean()),
        exit_shares=outcome(data, exits, here.table.costs).exit_shares,
        p_value=p_value,
        unsure=pair.threshold,
        referred=pair.referred,
    )
