import numpy as np
import pytest

from endoexit.errors import PolicyError, RunError
from endoexit.policy import ExitPolicy, fixed_exit
from endoexit.policy.document import Provenance
from endoexit.policy.rules.threshold import ThresholdRule
from endoexit.runtime.session import NO_POLICY, open_engine
from tiny import CLASSES, PREPROCESSING, tiny_run


@pytest.fixture
def own(tmp_path):
    """A run of one's own, to change."""
    return tiny_run(tmp_path / "run")


def fitted_for(run, **changes):
    """A policy fitted for `run` (or for something else)."""
    served = {
        "weights_sha256": run.weights_sha256,
        "preprocessing": PREPROCESSING.fingerprint(),
        "precision": "torch-f32",
        "classes": CLASSES,
    }
    return ExitPolicy(
        rule=ThresholdRule(kind="margin", thresholds=(0.5, None, 0.1)),
        num_exits=4,
        temperatures=(1, 1, 1, 1),
        goal="accuracy of the last exit",
        provenance=Provenance(**served | changes),
    )


def test_without_a_policy_the_last_exit_answers(run):
    opened = open_engine(run.path, threads=1)
    assert opened.engine.policy == fixed_exit(4, 4)
    assert opened.decided_by == NO_POLICY
    assert opened.classes == CLASSES
    assert opened.engine.preprocessing == PREPROCESSING


def test_the_policy_of_the_run_is_used(own, photos):
    policy = fitted_for(own)
    policy.write(own.path / "policy.json")
    opened = open_engine(own.path, threads=1)
    assert opened.engine.policy == policy
    assert opened.decided_by == f"{own.path / 'policy.json'}: accuracy of the last exit"
    exits = [answer.exit for answer in opened.engine.predict(photos)]
    assert set(exits) <= {1, 3, 4}
    assert len(set(exits)) > 1


def test_a_threshold_goes_before_the_policy(own):
    fitted_for(own).write(own.path / "policy.json")
    opened = open_engine(own.path, threshold=0.875, threads=1)
    assert opened.engine.policy.rule.thresholds == (0.875,) * 3
    assert opened.decided_by == "largest probability of 0.875 or more, as asked for"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"weights_sha256": "0" * 64}, "weights '000000000000'"),
        ({"precision": "openvino-bf16"}, "precision 'openvino-bf16', served 'torch-f32'"),
        ({"classes": ("a", "b", "c")}, "classes 'a, b, c'"),
        ({"preprocessing": "0" * 64}, "preprocessing '000000000000'"),
    ],
)
def test_a_policy_fitted_for_something_else_is_refused(own, change, words):
    fitted_for(own, **change).write(own.path / "policy.json")
    with pytest.raises(PolicyError, match=words):
        open_engine(own.path, threads=1)


def test_a_policy_for_another_number_of_exits_is_refused(own):
    fixed_exit(3, 1).write(own.path / "policy.json")
    with pytest.raises(PolicyError, match="over 3 exits, but this network has 4"):
        open_engine(own.path, threads=1)


def test_a_missing_run_is_named(tmp_path):
    with pytest.raises(RunError, match=r"no run folder .*nowhere; `endoexit train` makes one"):
        open_engine(tmp_path / "nowhere")


def test_engine_and_options_reach_each_other(run, photos):
    opened = open_engine(run.path, threads=1, deadline_ms=60_000.0)
    assert opened.engine.deadline_ms == 60_000.0
    assert opened.engine.backend.threads == 1
    (answer,) = opened.engine.predict(photos[:1])
    assert answer.exit == 4
    assert np.isclose(answer.probabilities.sum(), 1)
