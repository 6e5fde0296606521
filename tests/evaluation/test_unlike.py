"""The fitted distance: what it refers of good and of foreign images, and what it takes."""

import numpy as np
import pytest
from PIL import Image

from endoexit.errors import PolicyError, UsageError
from endoexit.evaluation.fitting import CalibrationOptions, calibrate_run
from endoexit.evaluation.study import Options, evaluate_run
from endoexit.evaluation.unlike import fit_distance
from endoexit.images.reference import ImageRef
from endoexit.policy.distance import distances
from endoexit.policy.goal_options import make_goal
from endoexit.policy.options import RuleOptions
from endoexit.runtime.session import open_session

GENERATOR = np.random.default_rng(0)
LABELS = np.arange(600) % 3
MIXING = GENERATOR.normal(size=(6, 6))


def good(labels):
    features = GENERATOR.normal(size=(len(labels), 6)) @ MIXING
    return (features + 5 * labels[:, None]).astype(np.float32)


def test_it_refers_the_share_of_good_images_and_foreign_ones():
    train, calibrate, fresh = (good(LABELS) for _ in range(3))
    distance = fit_distance(train, LABELS, calibrate, 0.05)
    parts = (distance.whitening, distance.means)
    assert (distances(calibrate, *parts) > distance.threshold).sum() == 30
    assert (distances(fresh, *parts) > distance.threshold).mean() < 0.09
    # Far along a direction in which good images hardly vary, though near in plain distance.
    thin = np.linalg.svd(MIXING)[2][-1]
    foreign = fresh + 3 * thin.astype(np.float32)
    assert (distances(foreign, *parts) > distance.threshold).mean() > 0.95


def test_a_channel_that_never_changes_is_no_obstacle():
    train = good(LABELS)
    train[:, 2] = 1.0
    distance = fit_distance(train, LABELS, train, 0.05)
    assert np.isfinite(distance.threshold)


def test_too_few_calibrate_images_are_refused():
    train = good(LABELS)
    with pytest.raises(PolicyError, match="at least 20 images"):
        fit_distance(train, LABELS, train[:10], 0.05)


def write_noise(folder):
    folder.mkdir()
    for number in range(6):
        noise = GENERATOR.integers(0, 256, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{number}.png")
    return folder


def test_a_run_refers_foreign_images_at_the_cost_of_exit_1(run, tmp_path):
    rules = RuleOptions(refer_unlike=0.3, unlike_by="mahalanobis")
    policy = calibrate_run(
        open_session(run), make_goal(mean_exit_cost=0.9), CalibrationOptions(rules)
    ).policy
    assert policy.request.rules.unlike_by == "mahalanobis"
    session = open_session(run)
    images = session.images(session.manifest.cohort("test"))
    answers = session.engine.predict(images)
    evaluation = evaluate_run(
        open_session(run),
        Options(role="test", timing=False, resamples=200, foreign=(write_noise(tmp_path / "n"),)),
    )
    row = evaluation.referrals.rows[0]
    assert row.unlike == sum(answer.referred == "unlike" for answer in answers)
    (noise,) = evaluation.foreign
    assert noise.unlike == noise.images == 6
    assert noise.exit_shares[0] == 1.0
    distance = policy.referral.unlike
    paths = sorted((tmp_path / "n").iterdir())
    foreign = np.stack([session.preprocessing.load(ImageRef(path)) for path in paths])
    near, far = (
        distances(session.features(each), distance.whitening, distance.means)
        for each in (images, foreign)
    )
    pairs = (far[:, None] > near).mean() + 0.5 * (far[:, None] == near).mean()
    assert noise.distance_auroc == pytest.approx(pairs)


def test_a_measure_without_a_share_makes_no_sense():
    with pytest.raises(UsageError, match="add --refer-unlike"):
        RuleOptions(unlike_by="energy")


def test_features_are_not_computed_on_a_gpu(run):
    session = open_session(run)
    object.__setattr__(session.precision, "device", "cuda")
    with pytest.raises(UsageError, match="computed on the CPU"):
        session.features(np.zeros((1, 32, 32, 3), np.uint8))
    object.__setattr__(session.precision, "device", "cpu")


def test_train_images_that_are_all_alike_tell_no_distance():
    alike = np.ones((30, 4), dtype=np.float32)
    with pytest.raises(PolicyError, match=r"are all alike, .* or take --unlike-by energy"):
        fit_distance(alike, LABELS[:30], alike, 0.1)
