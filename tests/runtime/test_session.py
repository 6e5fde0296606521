import numpy as np
import pytest

from endoexit.data.manifest import read_manifest
from endoexit.errors import PolicyError, RunError, UsageError
from endoexit.policy import ExitPolicy, fixed_exit
from endoexit.policy.document import Provenance
from endoexit.policy.rules.threshold import ThresholdRule
from endoexit.runtime.deciding import NO_POLICY
from endoexit.runtime.session import open_session
from tiny import CLASSES, PREPROCESSING, SIDE, tiny_run


@pytest.fixture
def run(tmp_path):
    """A run of its own, which a test may change."""
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
    session = open_session(run.path, threads=1)
    assert session.engine.policy == fixed_exit(4, 4)
    assert session.decider.origin == "none"
    assert not session.adaptive
    assert session.decider.words == NO_POLICY
    assert session.classes == CLASSES
    assert session.engine.preprocessing == PREPROCESSING


def test_the_policy_of_the_run_is_used(run, photos):
    policy = fitted_for(run)
    policy.write(run.path / "policy.json")
    session = open_session(run.path, threads=1)
    assert session.engine.policy == policy
    assert session.decider.origin == "policy"
    assert session.decider.rule == "policy.json: accuracy of the last exit"
    assert session.adaptive
    assert session.decider.words == f"{run.path / 'policy.json'}: accuracy of the last exit"
    exits = [answer.exit for answer in session.engine.predict(photos)]
    assert set(exits) <= {1, 3, 4}
    assert len(set(exits)) > 1


def test_a_threshold_goes_before_the_policy(run):
    fitted_for(run).write(run.path / "policy.json")
    session = open_session(run.path, threshold=0.875, threads=1)
    assert session.engine.policy.rule.thresholds == (0.875,) * 3
    assert session.decider.origin == "threshold"
    assert session.decider.words == "largest probability of 0.875 or more, as asked for"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"weights_sha256": "0" * 64}, "weights '000000000000'"),
        ({"precision": "openvino-bf16"}, "precision 'openvino-bf16', served 'torch-f32'"),
        ({"classes": ("a", "b", "c")}, "classes 'a, b, c'"),
        ({"preprocessing": "0" * 64}, "preprocessing '000000000000'"),
    ],
)
def test_a_policy_fitted_for_something_else_is_refused(run, change, words):
    fitted_for(run, **change).write(run.path / "policy.json")
    with pytest.raises(PolicyError, match=words):
        assert open_session(run.path, threads=1).engine


def test_a_policy_for_another_number_of_exits_is_refused(run):
    fixed_exit(3, 1).write(run.path / "policy.json")
    with pytest.raises(PolicyError, match="over 3 exits, but this network has 4"):
        assert open_session(run.path, threads=1).engine


def test_a_missing_run_is_named(tmp_path):
    with pytest.raises(RunError, match=r"no run folder .*nowhere; `endoexit train` makes one"):
        open_session(tmp_path / "nowhere")


def test_engine_and_options_reach_each_other(run, photos):
    session = open_session(run.path, threads=1, deadline_ms=60_000.0)
    assert session.engine.deadline_ms == 60_000.0
    assert session.engine.backend.threads == 1
    (answer,) = session.engine.predict(photos[:1])
    assert answer.exit == 4
    assert np.isclose(answer.probabilities.sum(), 1)


def test_what_follows_from_opening_happens_once(run, monkeypatch):
    opened = []
    load = type(run).load_model
    monkeypatch.setattr(type(run), "load_model", lambda run: opened.append(run.path) or load(run))
    session = open_session(run, threads=1)
    assert opened == [], "nothing is loaded before it is asked for"
    assert session.engine is session.engine
    assert session.engine.backend is session.backend
    assert opened == [run.path]


def test_a_manifest_of_other_classes_is_refused(run, tiny_manifest):
    session = open_session(run, manifest=read_manifest(tiny_manifest))
    with pytest.raises(UsageError, match="read it with the run's classes"):
        session.logits("test")


def test_images_of_a_role_are_decoded_once(run, tiny_manifest, monkeypatch):
    session = open_session(run, manifest=read_manifest(tiny_manifest))
    cohort = session.other_manifest.cohort("test")
    images = session.images(cohort)
    assert images.shape == (len(cohort), SIDE, SIDE, 3)
    np.testing.assert_array_equal(images[0], PREPROCESSING.load(cohort.images[0]))
    assert session.images(cohort) is images
