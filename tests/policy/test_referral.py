import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp

from endoexit.errors import PolicyError
from endoexit.policy import ExitPolicy, fixed_exit, threshold_policy
from endoexit.policy.confidence import confidence
from endoexit.policy.referral import (
    ANSWERED,
    UNLIKE,
    UNSURE,
    Referral,
    Unlike,
    Unsure,
    energy,
    fit_unlike,
    sureness,
)

UNSURE_BELOW = Referral(unsure=Unsure(threshold=0.5))


def both(threshold=0.5, energies=(0.0, 0.0, 0.0)):
    return Referral(
        unsure=Unsure(threshold=threshold), unlike=Unlike(thresholds=energies, share=0.1)
    )


def test_energy_is_minus_the_logarithm_of_the_sum():
    logits = np.array([[1.0, 2.0, 3.0], [1000.0, 0.0, 0.0]])
    assert energy(logits) == pytest.approx(-logsumexp(logits, axis=1))
    with pytest.raises(PolicyError, match="NaN or infinity"):
        energy(np.array([[np.nan, 1.0]]))


def test_sureness_is_the_margin_times_the_share_of_exits_that_agree():
    logits = np.log(np.array([[0.7, 0.2, 0.1], [0.7, 0.2, 0.1], [0.7, 0.2, 0.1]]))
    previous = np.array([[0, 0], [1, 0], [2, 2]])
    assert sureness(logits, previous) == pytest.approx(np.array([0.5, 0.5 * 2 / 3, 0.5 / 3]))
    assert sureness(logits, np.empty((3, 0))) == pytest.approx(confidence(logits, "margin"))


def test_one_image_and_the_same_image_in_a_batch_give_the_same_bits(make_data):
    logits = make_data(3).logits[-1]
    previous = np.zeros((len(logits), 2), dtype=int)
    for row in range(5):
        assert energy(logits[row : row + 1])[0] == energy(logits)[row]
        alone = sureness(logits[row : row + 1], previous[:1], 1.3)
        assert alone[0] == sureness(logits, previous, 1.3)[row]


@settings(max_examples=60, deadline=None)
@given(share=st.floats(0.02, 0.9), images=st.integers(50, 120), ties=st.booleans(),
       seed=st.integers(0, 99))  # fmt: skip
def test_at_most_the_share_of_the_images_is_referred_at_any_exit(share, images, ties, seed):
    logits = np.random.default_rng(seed).normal(size=(3, images, 4))
    if ties:
        logits = np.round(logits)
    unlike = Referral(unlike=fit_unlike(logits, share))
    referred = unlike.first_unlike(logits) <= 3
    assert referred.sum() <= share * images + 1e-6  # rounding costs no image
    if not ties:  # and no fewer than it may be: one image more in the tail would be too many
        assert referred.sum() >= int(share * images) - 2


def test_a_share_of_less_than_one_image_says_how_many_it_takes():
    with pytest.raises(PolicyError, match=r"less than one of 50 calibrate .* at least 100 images"):
        fit_unlike(np.zeros((2, 50, 3)), 0.01)


def test_images_that_are_all_alike_are_not_all_referred():
    unlike = Referral(unlike=fit_unlike(np.zeros((2, 50, 3)), 0.5))
    assert (unlike.first_unlike(np.zeros((2, 50, 3))) == 3).all()


def test_decisions_image_by_image_are_those_of_a_cohort(make_data):
    logits = make_data(3, images=200).logits
    unlike = fit_unlike(logits, 0.2)
    policy = threshold_policy(3, 0.8).replaced(
        referral=Referral(unsure=Unsure(threshold=0.4), unlike=unlike)
    )
    exits = policy.assign(logits)
    codes = policy.referred(logits, exits)
    assert set(codes.tolist()) == {ANSWERED, UNSURE, UNLIKE}
    labels = logits.argmax(axis=2)
    names = {ANSWERED: None, UNSURE: "unsure", UNLIKE: "unlike"}
    for image in range(200):
        for number in (1, 2, 3):
            scores, before = logits[number - 1, [image]], labels[: number - 1, [image]].T
            if policy.leaves(number, scores, before)[0]:
                assert exits[image] == number
                assert policy.reasons(number, scores, before) == (names[codes[image]],)
                break


def test_an_image_that_is_unlike_exits_at_the_first_exit_that_finds_it(make_data):
    logits = make_data(3, images=30).logits
    policy = fixed_exit(3, 3).replaced(referral=both(energies=(1e9, -1e9, 1e9)))
    exits = policy.assign(logits)
    assert (exits == 2).all()
    assert (policy.referred(logits, exits) == UNLIKE).all()


def test_only_the_final_exit_is_unsure(make_data):
    logits = 0.01 * make_data(3, images=30).logits
    for number, code in ((1, ANSWERED), (3, UNSURE)):
        policy = fixed_exit(3, number).replaced(referral=UNSURE_BELOW)
        assert (policy.referred(logits, policy.assign(logits)) == code).all()


def test_without_referral_every_image_is_answered(make_data):
    logits = make_data(3, images=10).logits
    policy = fixed_exit(3, 3)
    assert (policy.referred(logits, policy.assign(logits)) == ANSWERED).all()
    assert policy.reasons(3, logits[2], logits[:2].argmax(axis=2).T) == (None,) * 10


def test_it_is_written_and_read_and_a_policy_without_it_does_not_mention_it():
    policy = threshold_policy(3, 0.8).replaced(referral=both())
    assert ExitPolicy.from_json(policy.to_json()) == policy
    assert "referral" not in threshold_policy(3, 0.8).to_json()


def test_words_name_each_reason():
    unsure, unlike = both().words
    assert unsure.startswith("unsure: at the final exit")
    assert unlike == "unlike: energy > 0, 0, 0 at exits 1 to 3"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Referral, "unsure, unlike, or both"),
        (lambda: threshold_policy(2, 0.8).replaced(referral=both()), "3 energies for 2 exits"),
    ],
)
def test_a_referral_that_does_not_fit_is_refused(make, message):
    with pytest.raises(PolicyError, match=message):
        make()
