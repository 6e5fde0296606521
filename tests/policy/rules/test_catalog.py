from typing import get_args

import pytest
from pydantic import TypeAdapter

from endoexit.policy.confidence import is_confidence
from endoexit.policy.options import RuleOptions
from endoexit.policy.rules.base import RuleKind
from endoexit.policy.rules.catalog import RULES, StoredRule
from endoexit.policy.table import ExitTable


def test_every_kind_has_its_row():
    assert tuple(RULES) == get_args(RuleKind)


@pytest.mark.parametrize("kind", RULES)
def test_rules_are_stored_and_read_as_what_they_are(make_data, kind):
    table = ExitTable(make_data(3), (1.0,) * 3, (1.0, 2.0, 3.0))
    thresholds = "shared" if is_confidence(kind) else None
    rules = RULES[kind].tried(table, RuleOptions(rule=kind, thresholds=thresholds))
    stored = TypeAdapter(StoredRule)
    for rule in rules:
        again = stored.validate_json(stored.dump_json(rule))
        assert (type(again), again) == (RULES[kind], rule)
