"""Who decides where images exit: the same rule for every command, as data and in words."""

import pytest

from endoexit.policy import fixed_exit, threshold_policy
from endoexit.precision import Precision
from endoexit.runtime.deciding import NO_POLICY, Decider, decide
from tiny import tiny_run

F32 = Precision("torch", "f32", "f32")


@pytest.fixture
def run(tmp_path):
    return tiny_run(tmp_path / "run")


def test_a_threshold_goes_before_a_policy_and_a_policy_before_none(run):
    assert decide(run, F32, 4) == Decider(fixed_exit(4, 4))
    file = run.path / "policy.json"
    fixed_exit(4, 2).write(file)
    assert decide(run, F32, 4) == Decider(fixed_exit(4, 2), file=file)
    given = decide(run, F32, 4, 0.0)
    assert given == Decider(threshold_policy(4, 0.0), threshold=0.0)
    assert given.origin == "threshold", "0 is a threshold"


def test_the_words_name_the_origin(run):
    policy = fixed_exit(4, 2).replaced(goal="quick")
    file = run.path / "policy.json"
    decider = Decider(policy, file=file)
    assert (decider.rule, decider.words) == ("policy.json: quick", f"{file}: quick")
    assert Decider(fixed_exit(4, 4)).words == NO_POLICY
    asked = Decider(threshold_policy(4, 0.75), threshold=0.75)
    assert asked.words == "largest probability of 0.75 or more, as asked for"
