"""A promise among the answered images: valid, in few images, with a clear refusal."""

import contextlib

import numpy as np
import pytest

from endoexit.errors import PolicyError, UsageError
from endoexit.policy import ExitPolicy
from endoexit.policy.document import Costs
from endoexit.policy.goal_options import make_goal
from endoexit.policy.logits import LogitSet
from endoexit.policy.options import RuleOptions
from endoexit.policy.promises import check_promises, promise_words
from endoexit.policy.pvalues import binomial_p_value
from endoexit.policy.rules.fixed import FixedRule
from endoexit.policy.search import find_policy
from endoexit.policy.simulation import CLASSES, GroupDesign, SimulatedExits

NETWORK = SimulatedExits()
COSTS = Costs(values=NETWORK.costs, unit="relative", source="simulated")


def search(goal, seed=0, images=400, options=None, design=None):
    generator = np.random.default_rng((seed, images))
    given = (design,) if design else ()
    calibrate = NETWORK.draw(images, generator, "calibrate", *given)
    certify = NETWORK.draw(images, generator, "certify", *given)
    result = find_policy(goal, calibrate=calibrate, certify=certify, costs=COSTS, classes=CLASSES,
                         options=options or RuleOptions())  # fmt: skip
    return result, calibrate, certify


def goal(tolerance=0.03, share=0.3, delta=0.1, **options):
    risks = [f"error<={tolerance}"]
    return make_goal(guarantee=risks, delta=delta, max_referral=share, **options)


def test_the_promise_among_the_answered_holds():
    """One network whose truth is known; the benchmark does this with 2000 repetitions."""
    broken, promised, referred, naive = 0, 0, [], 0
    for seed in range(60):
        try:
            result, _, _ = search(goal(), seed, images=200)
        except PolicyError:
            continue
        truth = NETWORK.truth(result.policy)
        promised += 1
        broken += truth.risks["error"] > 0.03
        referred.append(truth.referred)
        fewest = next(point for point in result.policy.front if point.accuracy >= 0.97)
        unsure = {"unsure": {"threshold": fewest.unsure}} if fewest.unsure else None
        untested = result.policy.replaced(rule=fewest.rule, referral=unsure, promises=())
        naive += NETWORK.truth(untested).risks["error"] > 0.03
    assert broken <= 60 * 0.1 + 3 * np.sqrt(60 * 0.1 * 0.9)
    assert promised >= 20
    assert naive > 0.4 * promised  # what certify is for
    assert 0.02 < np.mean(referred) < 0.2


def test_what_is_promised_is_what_certify_shows_among_the_answered():
    result, _, certify = search(goal())
    policy = result.policy
    (promise,) = policy.promises
    exits = policy.assign(certify.logits)
    answered = policy.referred(certify.logits, exits) == 0
    wrong = ~certify.correct[exits - 1, np.arange(certify.num_images)][answered]
    assert promise.images == answered.sum() < certify.num_images
    assert promise.referred == pytest.approx(1 - answered.mean())
    assert promise.observed == pytest.approx(wrong.mean())
    assert promise.p_value == binomial_p_value(wrong.astype(float), 0.03) <= 0.1
    assert result.answered.coverage >= 0.7
    assert "on new images that are answered" in promise_words(promise)
    (check,) = check_promises(policy, certify, CLASSES)
    assert check.losses.tolist() == wrong.astype(float).tolist()
    assert ExitPolicy.from_json(policy.to_json()) == policy


def test_fewer_are_referred_than_allowed_and_images_still_exit_early():
    result, _, _ = search(goal(), images=1500)
    truth = NETWORK.truth(result.policy)
    assert truth.risks["error"] <= 0.03
    assert truth.referred < 0.12
    assert truth.cost < 0.9
    assert [trial.passed for trial in result.trials].count(False) <= 1


def test_a_final_exit_that_is_good_enough_refers_none():
    result, _, _ = search(goal(tolerance=0.2))
    assert result.policy.referral is None
    assert result.policy.promises[0].referred == 0.0


def test_a_policy_without_early_exits_says_that_none_with_them_was_proven():
    proven = []
    for seed in range(8):
        with contextlib.suppress(PolicyError):
            proven.append(search(goal(0.05, delta=0.05), seed, images=100)[0])
    result = next(each for each in proven if isinstance(each.policy.rule, FixedRule))
    assert result.policy.promises[0].referred > 0
    assert result.policy.note == (
        "With early exits, no policy that refers so few could be proven: every image uses the "
        "final exit."
    )


def test_groups_are_tested_by_one_image_of_each():
    design = GroupDesign("pairs", (1, 3), likeness=0.9)
    result, _, certify = search(goal(tolerance=0.03), images=300, design=design)
    (promise,) = result.policy.promises
    groups = len(np.unique(certify.groups))
    assert (promise.unit, promise.group_value) == ("group", "one image")
    assert promise.images == round(groups * (1 - promise.referred)) < groups
    (check,) = check_promises(result.policy, certify, CLASSES)
    assert check.images == promise.images
    assert check.observed == pytest.approx(promise.observed)


def test_images_that_are_unlike_count_as_referred():
    options = RuleOptions(refer_unlike=0.05)
    result, calibrate, certify = search(goal(), options=options)
    policy = result.policy
    exits = policy.assign(calibrate.logits)
    codes = policy.referred(calibrate.logits, exits)
    assert 0 < (codes == 2).sum() <= 0.05 * calibrate.num_images
    assert (codes > 0).mean() <= 0.3
    answered = policy.referred(certify.logits, policy.assign(certify.logits)) == 0
    assert policy.promises[0].images == answered.sum()


def test_what_cannot_be_promised_says_what_could():
    with pytest.raises(PolicyError) as error:
        search(goal(tolerance=0.02, share=0.02))
    words = str(error.value)
    assert "error <= 0.02 cannot be promised" in words
    assert "among the answered images" in words
    assert "It could promise error <= 0.0" in words
    assert "Give certify more images" in words
    assert "allow more than 0.02 to be referred" in words


def test_too_few_images_say_how_many_it_takes():
    with pytest.raises(PolicyError, match=r"certify has 100 images, too few .* at least 149"):
        search(goal(tolerance=0.02, delta=0.05), images=100)


def test_a_network_that_is_equally_unsure_of_all_refers_none_instead_of_all():
    labels = np.arange(200) % 2
    logits = np.zeros((3, 200, 2))
    calibrate = LogitSet("calibrate", logits, labels, np.arange(200))
    certify = LogitSet("certify", logits, labels, np.arange(200, 400))
    with pytest.raises(PolicyError, match=r"certify shows 50\.00% in 200 images"):
        find_policy(goal(share=0.9), calibrate=calibrate, certify=certify, costs=COSTS,
                    classes=CLASSES)  # fmt: skip


def test_a_relative_guarantee_does_not_go_with_referral():
    with pytest.raises(UsageError, match="add --max-referral with a risk such as error"):
        search(make_goal(guarantee=["disagreement<=0.1"]), options=RuleOptions(refer_unlike=0.1))


def test_what_is_unlike_must_leave_some_for_what_is_unsure():
    with pytest.raises(UsageError, match=r"leaves none .* lower --refer-unlike"):
        search(goal(share=0.1), options=RuleOptions(refer_unlike=0.1))


def test_other_goals_may_refer_what_is_unlike():
    result, calibrate, _ = search(
        make_goal(mean_exit_cost=0.6), options=RuleOptions(refer_unlike=0.05)
    )
    assert result.policy.referral.unsure is None
    assert result.answered.unlike <= 0.05 * calibrate.num_images
    assert result.expected.cost <= 0.6


def test_images_counted_one_by_one_in_spite_of_their_groups_are_noted():
    design = GroupDesign("pairs", (2,), 0.9)
    result, _, _ = search(goal(0.1, unit="image"), design=design)
    assert "800 certify images come from 400 groups" in result.policy.note
    by_group, _, _ = search(goal(0.1), design=design)
    assert by_group.policy.note is None


def test_a_class_of_which_every_image_is_referred_does_not_ask_for_more_referral():
    def cohort(name, of_b, start):
        labels = np.arange(400) % 2
        margin = np.where(labels == 1, of_b, 6.0) + np.linspace(start, start + 1e-4, 400)
        logits = np.zeros((2, 400, 2))
        logits[:, np.arange(400), labels] = margin
        return LogitSet(name, logits, labels)

    costs = Costs(values=(0.5, 1.0), unit="relative", source="made")
    asked = make_goal(guarantee=["sensitivity[b]>=0.9", "error[a]<=0.05"], max_referral=0.3)
    calibrate = cohort("calibrate", np.where(np.arange(400) % 4 == 1, -1.0, 4.0), 0.0)
    match = "all 200 such images of certify are referred"
    with pytest.raises(PolicyError, match=match) as refused:
        find_policy(asked, calibrate=calibrate, certify=cohort("certify", -1e-2, 1e-3), costs=costs,
                    classes=("a", "b"), options=RuleOptions(temperature_scaling=False))  # fmt: skip
    assert "--max-referral" not in str(refused.value)
