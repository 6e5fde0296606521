"""What remains of a guarantee under each temporal rule."""

import pytest

from endoexit.policy import threshold_policy
from endoexit.policy.document import Promise, Provenance
from endoexit.policy.risks import parse_risk
from endoexit.policy.temporal.settings import ALL_OFF, RULES, TemporalSettings
from endoexit.watching.document import guarantee_under

PROMISE = Promise(
    risk=parse_risk("disagreement<=0.1"), delta=0.05, images=100, observed=0.02, p_value=0.01,
    method="betting",
)  # fmt: skip
SERVED = Provenance(weights_sha256="0", preprocessing="0", precision="torch-f32", classes=("a",))
PROMISING = threshold_policy(3, 0.9).replaced(promises=(PROMISE,), provenance=SERVED)


def test_a_policy_without_promises_has_none():
    assert guarantee_under(threshold_policy(3, 0.9), TemporalSettings()).state == "none"


@pytest.mark.parametrize("rule", RULES)
def test_a_promise_is_void_where_answers_may_differ(rule):
    guarantee = guarantee_under(PROMISING, ALL_OFF.switched({rule: True}))
    assert guarantee.state == ("void" if rule in ("reuse", "exit_memory") else "single images")
    assert ("void" in guarantee.words) == (guarantee.state == "void")


def test_a_promise_that_is_void_says_what_could_replace_it():
    words = guarantee_under(PROMISING, ALL_OFF.switched({"reuse": True})).words
    assert "whole videos" in words
