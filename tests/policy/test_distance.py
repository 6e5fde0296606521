"""The distance of features: its formula, its bits, what it asks for, what it refuses."""

import numpy as np
import pytest

from endoexit.errors import PolicyError
from endoexit.policy import ExitPolicy, threshold_policy
from endoexit.policy.distance import Distance, distances, features_of
from endoexit.policy.referral import ANSWERED, UNLIKE, Referral

GENERATOR = np.random.default_rng(0)
PLAIN = Distance(
    whitening=((1.0, 0.0), (0.0, 1.0)), means=((0.0, 0.0), (10.0, 0.0)), threshold=4.0, share=0.1
)
FEATURES = np.array([[1.0, 1.0], [9.0, 1.0], [5.0, 0.0], [0.0, 2.5]])


def test_it_is_the_squared_mahalanobis_distance_to_the_nearest_mean():
    features, means = GENERATOR.normal(size=(7, 3)), GENERATOR.normal(size=(2, 3))
    root = GENERATOR.normal(size=(3, 3))
    precision = root.T @ root
    expected = [min((row - mean) @ precision @ (row - mean) for mean in means) for row in features]
    assert distances(features, root, means @ root.T) == pytest.approx(expected)


def test_one_image_and_the_same_image_in_a_batch_give_the_same_bits():
    features, root = GENERATOR.normal(size=(33, 40)), GENERATOR.normal(size=(40, 40))
    means = GENERATOR.normal(size=(3, 40))
    together = distances(features, root, means)
    assert [distances(row[None], root, means)[0] for row in features] == together.tolist()


def test_a_far_image_is_referred_at_exit_1_and_no_other_exit_asks():
    logits = np.zeros((3, 4, 2))
    logits[..., 0] = [0.1, 0.1, 5.0, 0.1]
    policy = threshold_policy(3, 0.9).replaced(referral=Referral(unlike=PLAIN))
    exits = policy.assign(logits, lambda: FEATURES)
    assert exits.tolist() == [3, 3, 1, 1]
    codes = policy.referred(logits, exits, lambda: FEATURES)
    assert codes.tolist() == [ANSWERED, ANSWERED, UNLIKE, UNLIKE]
    leaving = policy.leaves(1, logits[0], np.empty((4, 0)), None, lambda: FEATURES)
    assert leaving.tolist() == [False, False, True, True]
    assert not policy.leaves(2, logits[1], np.zeros((4, 1))).tolist()[0]
    reasons = policy.reasons(1, logits[0], np.empty((4, 0)), lambda: FEATURES)
    assert reasons == (None, None, "unlike", "unlike")


def test_it_comes_back_from_its_document():
    policy = threshold_policy(3, 0.9).replaced(referral=Referral(unlike=PLAIN))
    assert ExitPolicy.from_json(policy.to_json()) == policy
    assert policy.needs_features
    assert policy.referral.words == ("unlike: Mahalanobis distance of 2 features > 4 at exit 1",)
    with pytest.raises(PolicyError, match="a network with one exit"):
        threshold_policy(1, 0.9).replaced(referral=Referral(unlike=PLAIN))


def test_without_features_it_says_so():
    policy = threshold_policy(3, 0.9).replaced(referral=Referral(unlike=PLAIN))
    with pytest.raises(PolicyError, match="features of exit 1, which are not known here"):
        policy.assign(np.zeros((3, 4, 2)))


@pytest.mark.parametrize(
    ("features", "message"),
    [(np.zeros((2, 3)), r"shape \(2, 3\), but the policy looks at 2"),
     (np.full((2, 2), np.nan), "NaN or infinity")],
)  # fmt: skip
def test_features_that_do_not_fit_are_refused(features, message):
    with pytest.raises(PolicyError, match=message):
        distances(features, PLAIN.whitening, PLAIN.means)


@pytest.mark.parametrize(
    "changes",
    [{"whitening": ((1.0,), (0.0, 1.0))}, {"means": ((0.0,),)}, {"means": ()}, {"whitening": ()},
     {"means": ((0.0, float("inf")),)}],
)  # fmt: skip
def test_a_matrix_that_does_not_fit_is_refused(changes):
    parts = {"whitening": PLAIN.whitening, "means": PLAIN.means, "threshold": 4.0, "share": 0.1}
    with pytest.raises((PolicyError, ValueError), match=r"features|finite"):
        Distance(**parts | changes)


def test_the_features_of_some_images():
    chosen = features_of(lambda: FEATURES, np.array([True, False, False, True]))
    assert chosen().tolist() == [[1.0, 1.0], [0.0, 2.5]]
    assert features_of(None, np.array([True])) is None
