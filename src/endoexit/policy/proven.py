"""A policy for a guarantee: candidates from calibrate, tested on certify."""

from collections.abc import Sequence

from endoexit.errors import PolicyError, UsageError
from endoexit.policy.choice import Chosen, front_points
from endoexit.policy.goals import GroupValue, Guarantee
from endoexit.policy.guarantee import (
    LADDER_STEPS,
    certify_sequence,
    kept_by_construction,
    not_promised,
    promised,
    require_enough,
    risk_score,
)
from endoexit.policy.logits import LogitSet, require_disjoint
from endoexit.policy.options import RuleOptions
from endoexit.policy.referral import AnyUnlike
from endoexit.policy.risks import LossTable, loss_table
from endoexit.policy.rules.base import Candidate
from endoexit.policy.rules.catalog import RULES
from endoexit.policy.rules.fixed import FixedRule
from endoexit.policy.selective import answered_guarantee
from endoexit.policy.table import ExitTable
from endoexit.policy.units import (
    UnitLosses,
    better_value,
    counting,
    dependence,
    group_numbers,
)

FELL_BACK = (
    "No policy with early exits could be proven to keep the guarantee: every image uses the final "
    "exit, which keeps it by construction."
)

FINAL_ONLY = (
    "No policy with early exits could be proven to keep the guarantee: every image uses the final "
    "exit, for which it was proven."
)


def guaranteed(
    goal: Guarantee,
    table: ExitTable,
    certify: LogitSet | None,
    classes: tuple[str, ...],
    options: RuleOptions,
    *,
    unlike: AnyUnlike | None,
) -> Chosen:
    """Return the cheapest rule that keeps a guarantee, proven on certify in a fixed order.

    Args:
        goal: Risks with tolerances and the error probability.
        table: The calibrate cohort: candidates and their order come from it.
        certify: Logits of the certify role.
        classes: Names in the order of the logits.
        options: Which policies are tried.
        unlike: Fitted referral of unlike images.

    Raises:
        PolicyError: Certify is missing, too small, or shares groups or images with calibrate; an
            absolute risk cannot be promised.
        UsageError: A class in the goal does not exist, an option that the goal does not take.
    """
    if certify is None:
        raise PolicyError(
            "a guarantee needs a certify role, which nothing else has looked at: "
            "make one with `endoexit split --roles`."
        )
    require_disjoint(table.data, certify)
    if goal.max_referral is not None:
        return answered_guarantee(goal, table, certify, classes, options, unlike=unlike)
    if unlike is not None:
        raise UsageError(
            "a guarantee with referral is about the answered images: add --max-referral with a "
            "risk such as error<=0.02, or omit --refer-unlike."
        )
    counted = counting(goal.unit, certify)
    known = [loss_table(risk, table.data, classes) for risk in goal.risks]
    kind = RULES[options.rule]
    candidates = kind.front(table, options, *risk_score(known))
    rungs = kind.ladder(table, options, candidates[-1], LADDER_STEPS)
    risks = [
        UnitLosses(
            loss_table(loss.risk, certify, classes),
            counted.groups,
            "mean" if counted.groups is None else _group_value(loss, table, candidates, goal.delta),
        )
        for loss in known
    ]
    require_enough(risks, goal.delta)
    final = FixedRule(exit=table.data.num_exits)
    sequence = [*rungs, *(candidate.rule for candidate in reversed(candidates))]
    absolute = any(risk.absolute for risk in goal.risks)
    if absolute:
        sequence = [final, *sequence]  # it keeps no absolute risk by construction
    fresh = ExitTable(certify, table.temperatures, table.costs)
    certified = certify_sequence(sequence, fresh, risks, goal.delta)
    if absolute and certified.rule is None:
        raise PolicyError(not_promised(risks, final.exits(fresh), goal.delta))
    tested = [trial.p_value for trial in certified.trials[len(sequence) - len(candidates) :]]
    untested = [None] * (len(candidates) - len(tested))
    front = front_points(candidates, table, [*untested, *reversed(tested)])
    rule, promises = certified.rule, certified.promises
    notes = [dependence(counted, certify)]
    if rule is None or (rule.exits(table) == table.data.num_exits).all():
        rule = final
        if absolute:  # it was tested first; another rule may exit early on certify alone
            notes.insert(0, FINAL_ONLY)
            tests = zip(certified.trials[0].tests, risks, strict=True)
            promises = tuple(promised(test, units, goal.delta) for test, units in tests)
        else:
            notes = [FELL_BACK]
            promises = tuple(kept_by_construction(units, goal.delta) for units in risks)
    note = " ".join(filter(None, notes)) or None
    promises = tuple(promise.replaced(unit_reason=counted.reason) for promise in promises)
    crossed = next((each.crossed for each in candidates if each.rule is rule), None)
    return Chosen(rule, front, promises=promises, note=note, trials=certified.trials,
                  crossed=crossed)  # fmt: skip


def _group_value(
    known: LossTable, table: ExitTable, candidates: Sequence[Candidate], delta: float
) -> GroupValue:
    """Return the loss by which groups are tested, chosen on calibrate before certify is seen.

    The candidates that keep the tolerance there decide, or the safest if none does.
    """
    if table.data.groups is None:
        return "one image"  # without groups there is nothing to compare
    units = UnitLosses(known, group_numbers(table.data))
    exits = [candidate.exits(table) for candidate in reversed(candidates)]
    keeping = [taken for taken in exits if units.of(taken).mean() <= known.risk.tolerance]
    return better_value(units.share_between(keeping or exits[:1]), delta)
