"""The goals of real_policies.py, written down before any of them was tried."""

from dataclasses import dataclass, field
from typing import Any

from endoexit.policy.document import Costs
from endoexit.policy.options import RuleOptions

FINDING = "polyp"
RISKS = ("disagreement", "accuracy_loss", f"missed[{FINDING}]")
TOLERANCES = (0.05, 0.1)
# Risks against the labels, and the largest share that may be referred; None: all are answered.
ABSOLUTE: tuple[tuple[str, float | None], ...] = (
    ("error<=0.1", None),
    (f"sensitivity[{FINDING}]>=0.95", None),
    ("specificity[normal-cecum]>=0.9", None),
    ("error<=0.05", None),
    ("error<=0.05", 0.3),
    ("error<=0.03", 0.4),
    (f"sensitivity[{FINDING}]>=0.95", 0.3),
)
IN_README = ABSOLUTE[0], ABSOLUTE[1], ABSOLUTE[4]
RULES = (
    RuleOptions(),
    RuleOptions(thresholds="shared"),
    RuleOptions(thresholds="geometric"),
    RuleOptions(rule="entropy"),
    RuleOptions(rule="margin"),
    RuleOptions(rule="patience"),
    RuleOptions(rule="linear_gate"),
    RuleOptions(rule="jei_dnn"),
    RuleOptions(rule="eenet"),
    RuleOptions(rule="fixed"),
    RuleOptions(temperature_scaling=False),
)


@dataclass(frozen=True)
class Ask:
    """One thing that is asked for.

    Attributes:
        name: Name of the kind of goal.
        wanted: Goal that is asked for.
        rules: Policies that are tried.
        table: Table of its row.
        readme: Whether its row is in the README as well.
    """

    name: str
    wanted: dict[str, Any]
    rules: RuleOptions = field(default_factory=RuleOptions)
    table: str = "plain"
    readme: bool = False


def asked(ms: Costs, macs: Costs) -> list[Ask]:
    """Return all goals, from the cost of the whole network."""
    whole_ms = ms.values[-1]
    half_ms = round(whole_ms / 2, 1)
    plain = [
        Ask("max-ms", {"max_ms": half_ms}),
        Ask("max-macs", {"max_macs": float(f"{macs.values[-1] / 2:.3g}")}),
        Ask("mean-exit-cost", {"mean_exit_cost": 0.4}),
        Ask("mean-exit-cost", {"mean_exit_cost": 0.6}),
        Ask("min-accuracy", {"min_accuracy": 0.9}),
        Ask("min-accuracy", {"min_accuracy": 0.99}),
        Ask("max-accuracy-drop", {"max_accuracy_drop": 0.0}),
        Ask("max-accuracy-drop", {"max_accuracy_drop": 0.01}, readme=True),
        Ask("budget", {"budget": f"1000 images, {half_ms:g} seconds"}),
        *(
            Ask("deadline-ms", {"deadline_ms": round(share * whole_ms, 1)})
            for share in (0.4, 0.7, 1.5)
        ),
    ]
    guarantees = [
        Ask(
            "guarantee",
            {"guarantee": [f"{name}<={tolerance}" for name in names], "unit": unit},
            table="guarantee",
            readme=unit is None and tolerance == TOLERANCES[0] and names != RISKS[2:],
        )
        for tolerance in TOLERANCES
        for names in (*((name,) for name in RISKS), RISKS)
        for unit in (None, "image")
    ]
    small = Ask("guarantee", {"guarantee": ["disagreement<=0.02"]}, table="guarantee", readme=True)
    absolute = [
        Ask(
            "guarantee",
            {"guarantee": [risk], "max_referral": most},
            table="guarantee",
            readme=(risk, most) in IN_README,
        )
        for risk, most in ABSOLUTE
    ]
    rules = [Ask("rule", {"mean_exit_cost": 0.5}, rule, "rule") for rule in RULES]
    return [*plain, *guarantees, small, *absolute, *rules]
