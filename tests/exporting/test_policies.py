"""The policy of a run is found again for its bundle, on the same images, or it is refused."""

import numpy as np
import pytest

from bundle_makers import GOAL
from endoexit.data.manifest import read_manifest
from endoexit.errors import (
    PolicyError,
)
from endoexit.evaluation.fitting import CalibrationOptions, calibrate_run
from endoexit.evaluation.study import Options, evaluate_run
from endoexit.exporting.export import ExportOptions, export_run
from endoexit.policy import fixed_exit
from endoexit.policy.goal_options import make_goal
from endoexit.policy.options import RuleOptions
from endoexit.runtime.session import open_session
from tiny import tiny_run as run_without_images

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("bundles")]


def test_a_guarantee_is_proven_again_at_the_bundle_s_precision(run, bundles, tmp_path):
    calibrate_run(open_session(run), make_goal(guarantee=["disagreement<=0.6"], delta=0.2))
    options = ExportOptions("openvino", "f32")
    with bundles.graphs_once():
        exported = export_run(open_session(run), tmp_path / "bundle", options)
    (policy,) = exported.policies.values()
    (promise,) = policy.promises
    assert (str(promise.risk), promise.delta) == ("disagreement<=0.6", 0.2)
    assert policy.provenance.manifest_sha256 == run.manifest().sha256


def test_referral_is_found_again_and_the_bundle_refers_as_its_policy_says(run, bundles, tmp_path):
    goal = make_goal(guarantee=["error<=0.9"], max_referral=0.6, delta=0.5)
    asked = CalibrationOptions(RuleOptions(refer_unlike=0.4))
    calibrate_run(open_session(run), goal, asked)
    with bundles.graphs_once():
        export_run(open_session(run), tmp_path / "bundle", ExportOptions("openvino", "f32"))
    bundle = open_session(tmp_path / "bundle", manifest=run.manifest(), threads=1)
    policy = bundle.decider.policy
    assert policy.referral.unlike.share == 0.4
    assert policy.promises[0].referred is not None
    logits = bundle.logits("train").logits
    codes = policy.referred(logits, policy.assign(logits))
    answers = bundle.engine.predict(bundle.images(bundle.manifest.cohort("train")))
    reasons = (None, "unsure", "unlike")
    assert [answer.referred for answer in answers] == [reasons[code] for code in codes]
    assert "referred to a human as unlike" in (tmp_path / "bundle" / "model_card.md").read_text()


@pytest.mark.parametrize("backend", ["openvino", "onnx"])
def test_a_bundle_refers_by_the_same_features_as_its_run(run, tmp_path, backend):
    asked = CalibrationOptions(RuleOptions(refer_unlike=0.4, unlike_by="mahalanobis"))
    calibrate_run(open_session(run), make_goal(mean_exit_cost=0.6), asked)
    export_run(open_session(run), tmp_path / "bundle", ExportOptions(backend, "f32"))
    bundle = open_session(tmp_path / "bundle", manifest=run.manifest(), threads=1)
    images = bundle.images(bundle.manifest.cohort("train"))
    ours, theirs = open_session(run).features(images), bundle.features(images)
    assert ours.shape == (len(images), 32)  # of the 16 channels that exit 1 reads
    np.testing.assert_allclose(theirs, ours, rtol=1e-3, atol=1e-4)
    policy = bundle.decider.policy
    assert policy.referral.unlike.kind == "mahalanobis"
    logits = bundle.logits("train")
    exits = policy.assign(logits.logits, logits.features)
    codes = policy.referred(logits.logits, exits, logits.features)
    reasons = (None, "unsure", "unlike")
    answers = bundle.engine.predict(images)
    assert [answer.referred for answer in answers] == [reasons[code] for code in codes]
    assert [answer.exit for answer in answers] == exits.tolist()
    one_by_one = [bundle.engine.predict(image[None])[0].referred for image in images[:4]]
    assert one_by_one == [answer.referred for answer in answers[:4]]


def test_a_policy_found_on_other_images_is_not_found_again_on_these(run, tmp_path):
    kept = run.manifest()
    copy = kept.root / "others.csv"
    lines = ["path,label,group,role"]
    lines += [f"{row.path},{row.label},{row.group},{row.role}" for row in reversed(kept.rows)]
    copy.write_text("\n".join(lines) + "\n")
    try:
        manifest = read_manifest(copy, classes=run.classes)
        calibrate_run(open_session(run, manifest=manifest), make_goal(**GOAL))
        with pytest.raises(
            PolicyError, match=rf"found on the images of another manifest.* than {run.path}.*"
            rf"--manifest, or run `endoexit calibrate {run.path} --manifest"
        ):  # fmt: skip
            export_run(open_session(run), tmp_path / "bundle", ExportOptions("torch"))
        assert not (tmp_path / "bundle").exists()
        options = ExportOptions("torch", accept_drop=True)
        exported = export_run(open_session(run, manifest=manifest), tmp_path / "bundle", options)
    finally:
        copy.unlink()
    (policy,) = exported.policies.values()
    assert policy.provenance.manifest_sha256 == manifest.sha256


def test_a_policy_about_time_is_found_with_the_bundle_s_own_times(run, bundles, tmp_path):
    evaluate_run(open_session(run), Options(role="val", rounds=2, resamples=20))
    calibrate_run(open_session(run), make_goal(max_ms=1e6))
    options = ExportOptions("openvino", "f32")
    with bundles.graphs_once():
        exported = export_run(open_session(run, threads=1), tmp_path / "bundle", options)
    (policy,) = exported.policies.values()
    assert policy.costs.unit == "ms"
    assert policy.costs.source.startswith("measured at export: openvino-f32, 1 threads")


def test_a_policy_without_images_is_refused(tmp_path):
    run = run_without_images(tmp_path / "run")
    policy = fixed_exit(4, 1)
    policy.write(run.path / "policy.json")
    with pytest.raises(PolicyError, match="does not say what was asked for"):
        export_run(open_session(run), tmp_path / "bundle", ExportOptions("torch"))
