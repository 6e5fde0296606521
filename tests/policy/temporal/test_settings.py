"""Temporal rules: defaults, switches, files."""

import json

import pytest

from endoexit.errors import UsageError
from endoexit.policy.temporal.settings import (
    ALL_OFF,
    RULES,
    Evidence,
    Reuse,
    TemporalSettings,
    read_settings,
)


def on(settings):
    return {name for name in RULES if getattr(settings, name) is not None}


def test_the_default_changes_no_answer():
    settings = TemporalSettings()
    assert on(settings) == {"evidence", "blind"}
    assert not settings.changes_answers


@pytest.mark.parametrize("name", RULES)
def test_every_rule_can_be_switched_off_and_on(name):
    everything = ALL_OFF.switched(dict.fromkeys(RULES, True))
    assert on(everything) == set(RULES)
    assert on(everything.switched({name: False})) == set(RULES) - {name}
    assert on(ALL_OFF.switched({name: True})) == {name}


def test_a_switch_keeps_the_numbers_that_are_there():
    settings = TemporalSettings(reuse=Reuse(distance=3.0))
    assert settings.switched({"reuse": True}).reuse == Reuse(distance=3.0)
    assert settings.switched({"evidence": False}).reuse == Reuse(distance=3.0)


def test_a_misspelt_rule_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'reuse'"):
        ALL_OFF.switched({"reus": True})


@pytest.mark.parametrize("rule", ["reuse", "exit_memory"])
def test_rules_that_change_answers_are_told(rule):
    assert ALL_OFF.switched({rule: True}).changes_answers


def test_a_file_of_rules_is_read(tmp_path):
    file = tmp_path / "rules.json"
    file.write_text(json.dumps({"evidence": {"frames": 8}, "blind": None}))
    assert read_settings(file) == TemporalSettings(evidence=Evidence(frames=8), blind=None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "not an object of temporal rules"),
        ('{"evidance": {}}', "evidance"),
        ('{"evidence": {"frames": 0}}', "greater than or equal to 1.*Correct the file"),
        ('{"reuse": {"distance": NaN}}', "finite"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path, text, message):
    file = tmp_path / "rules.json"
    file.write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        read_settings(file)
    assert "rules.json" in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"none\.json does not exist"):
        read_settings(tmp_path / "none.json")
