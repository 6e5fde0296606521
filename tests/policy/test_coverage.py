import numpy as np
import pytest

from endoexit.policy import fixed_exit
from endoexit.policy.coverage import area_under, coverage, risk_curve, sureness_of
from endoexit.policy.logits import LogitSet
from endoexit.policy.referral import sureness


def test_answered_and_wrong_are_counted_apart():
    labels = np.array([0, 0, 1, 1, 1])
    answers = np.array([[0, 1, 1, 0, 0]] * 2)
    data = LogitSet("test", np.eye(2)[answers], labels)
    codes = np.array([0, 1, 0, 0, 2], dtype=np.int8)
    seen = coverage(data, np.full(5, 2), codes)
    assert (seen.images, seen.unsure, seen.unlike, seen.answered, seen.wrong) == (5, 1, 1, 3, 1)
    assert (seen.coverage, seen.risk) == (0.6, pytest.approx(1 / 3))
    of_one = coverage(data, np.full(5, 2), codes, labels == 1)
    assert (of_one.images, of_one.answered, of_one.wrong) == (3, 2, 1)
    none = coverage(data, np.full(5, 2), np.ones(5, dtype=np.int8))
    assert (none.coverage, none.risk) == (0.0, None)


def test_the_curve_begins_with_the_surest_and_ends_with_all():
    curve = risk_curve(np.array([0.1, 0.9, 0.5, 0.7]), np.array([True, False, True, False]))
    assert curve == pytest.approx(np.array([0.0, 0.0, 1 / 3, 0.5]))
    assert area_under(curve) == pytest.approx((1 / 3 + 0.5) / 4)


def test_ties_do_not_depend_on_the_order():
    wrong = np.array([True, False, False, True])
    sure = np.array([0.5, 0.5, 0.9, 0.5])
    expected = np.array([0.0, 1 / 3, 4 / 9, 0.5])
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [1, 0, 3, 2]):
        assert risk_curve(sure[order], wrong[order]) == pytest.approx(expected)


def test_an_image_is_as_sure_as_its_own_exit(make_data):
    data, policy = make_data(3), fixed_exit(3, 2)
    sure = sureness_of(policy, data, policy.assign(data.logits))
    assert (sure == sureness(data.logits[1], data.predictions[:1].T)).all()
