from dataclasses import replace

import numpy as np
import pytest

from endoexit.errors import PolicyError
from endoexit.policy import fixed_exit
from endoexit.policy.document import Promise
from endoexit.policy.logits import LogitSet
from endoexit.policy.promises import (
    check_promises,
    counted_lines,
    counted_words,
    promise_words,
)
from endoexit.policy.risks import parse_risk

CLASSES = ("normal", "polyp")


def wrong_at_first(wrong, images=100):
    """Two exits: the first is wrong on the first `wrong` images, every second image a polyp."""
    labels = np.arange(images) % 2
    answers = np.tile(labels, (2, 1))
    answers[0, :wrong] = 1 - answers[0, :wrong]
    return LogitSet("test", np.eye(2)[answers], labels)


def promise(risk, tolerance=0.05, unit="image"):
    return Promise(
        risk=parse_risk(f"{risk}<={tolerance}"),
        delta=0.05,
        images=400,
        unit=unit,
        observed=0.0,
        p_value=0.01,
        method="betting",
    )


def test_a_promise_in_words_says_what_it_rests_on():
    proven = promise("missed[polyp]", unit="group")
    assert promise_words(proven) == (
        "missed[polyp] <= 0.05 on new groups, with probability 0.95 (0.00% of 400 certify groups, "
        "p = 0.01, betting)"
    )
    kept = proven.replaced(method="by construction", p_value=0.0)
    assert promise_words(kept) == (
        "missed[polyp] <= 0.05 on new groups, with probability 0.95 (by construction)"
    ), "nothing was tested, so it names no images and no p-value"


def test_a_promise_in_words_says_when_one_image_of_each_group_was_tested():
    drawn = promise("disagreement", unit="group").replaced(
        group_value="one image", method="exact binomial"
    )
    assert "of 400 certify groups, one image of each, p = 0.01, exact binomial)" in promise_words(
        drawn
    )
    by_one = "each group, with its mean loss, tested by one image that was drawn from it"
    assert counted_words(drawn) == by_one
    assert counted_words(promise("disagreement", unit="group")) == "each group, with its mean loss"
    assert counted_words(promise("disagreement")) == "each image"


def test_a_floor_is_promised_and_shown_as_the_share_that_it_is_named_after():
    proven = promise("disagreement").replaced(
        risk=parse_risk("sensitivity[polyp]>=0.95"), observed=0.02, method="exact binomial"
    )
    assert promise_words(proven) == (
        "sensitivity[polyp] >= 0.95 on new images, with probability 0.95 (98.00% of 400 certify "
        "images, p = 0.01, exact binomial)"
    )
    policy = fixed_exit(2, 1).replaced(
        promises=(proven, proven.replaced(risk=parse_risk("specificity[normal]>=0.9")))
    )
    first, second = check_promises(policy, wrong_at_first(6), CLASSES)
    assert (first.images, first.observed, first.kept) == (50, 0.06, False)
    assert (second.images, second.observed, second.kept) == (50, 0.06, True)


def test_promises_beside_another_cohort():
    data = wrong_at_first(6)  # three of the six are polyps, of fifty
    data = replace(data, groups=np.repeat(np.arange(50), 2))
    policy = fixed_exit(2, 1).replaced(
        promises=(
            promise("disagreement"),
            promise("missed[polyp]", tolerance=0.06),
            promise("disagreement", unit="group"),
        )
    )
    first, second, third = check_promises(policy, data, CLASSES)
    assert (first.images, first.observed, first.kept) == (100, 0.06, False)
    assert (second.images, second.observed, second.kept) == (50, 0.06, True)
    assert (third.images, third.observed) == (50, 0.06)
    # Whoever belongs together is known in every unit: that is what intervals need.
    assert first.groups.tolist() == data.groups.tolist()
    assert second.groups.tolist() == data.groups[1::2].tolist()
    assert third.groups.tolist() == list(range(50))
    assert third.losses.tolist() == [1.0] * 3 + [0.0] * 47
    assert check_promises(fixed_exit(2, 1), data, CLASSES) == ()


def test_a_promise_on_a_class_that_the_cohort_lacks():
    data = wrong_at_first(6)
    normal = LogitSet("test", data.logits[:, ::2], data.labels[::2])
    policy = fixed_exit(2, 1).replaced(promises=(promise("missed[polyp]"),))
    (check,) = check_promises(policy, normal, CLASSES)
    assert (check.images, check.observed, check.kept) == (0, None, None)
    by_group = policy.replaced(promises=(promise("disagreement", unit="group"),))
    with pytest.raises(PolicyError, match="groups of the test images"):
        check_promises(by_group, normal, CLASSES)


def test_promises_that_count_otherwise_say_so_one_by_one():
    drawn = promise("missed[polyp]", unit="group").replaced(
        group_value="one image", method="exact binomial"
    )
    means = promise("disagreement", unit="group")
    assert counted_lines([means, means]) == [": each group, with its mean loss"]
    assert counted_lines([means, drawn]) == [
        " for disagreement: each group, with its mean loss",
        " for missed[polyp]: each group, with its mean loss, tested by one image that was drawn "
        "from it",
    ]


@pytest.mark.parametrize(
    ("risk", "labels", "why"),
    [
        ("error", [0, 1], "all such images are referred"),
        ("error[polyp]", [0, 1], "all such images are referred"),
        ("error[polyp]", [0, 0], "no image of class 'polyp'"),
    ],
)
def test_why_a_cohort_shows_nothing(risk, labels, why):
    policy = fixed_exit(1, 1).replaced(
        referral={"unsure": {"threshold": 1.0}}, promises=(promise(risk).replaced(referred=0.5),)
    )
    data = LogitSet("test", np.zeros((1, 2, 2)), np.array(labels))
    (check,) = check_promises(policy, data, CLASSES)
    assert (check.images, check.kept, check.unseen) == (0, None, why)
