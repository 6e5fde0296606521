"""All rules by name: a new rule is a class in this folder and a row here."""

from typing import Annotated

from pydantic import Field

from endoexit.policy.rules.base import Rule, RuleKind
from endoexit.policy.rules.eenet import EenetRule
from endoexit.policy.rules.fixed import FixedRule
from endoexit.policy.rules.jei_dnn import JeiDnnRule
from endoexit.policy.rules.linear_gate import LinearGateRule
from endoexit.policy.rules.patience import PatienceRule
from endoexit.policy.rules.threshold import ThresholdRule

RULES: dict[RuleKind, type[Rule]] = {
    "max_probability": ThresholdRule,
    "entropy": ThresholdRule,
    "margin": ThresholdRule,
    "patience": PatienceRule,
    "fixed": FixedRule,
    "linear_gate": LinearGateRule,
    "jei_dnn": JeiDnnRule,
    "eenet": EenetRule,
}

StoredRule = Annotated[
    ThresholdRule | PatienceRule | FixedRule | LinearGateRule | JeiDnnRule | EenetRule,
    Field(discriminator="kind"),
]
