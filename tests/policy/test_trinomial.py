import numpy as np
import pytest
from scipy.stats import multinomial, norm

from endoexit.policy.pvalues import betting_p_value, binomial_p_value
from endoexit.policy.trinomial import score, trinomial_p_value


def losses_of(lost, gained, images):
    return np.repeat([1.0, -1.0, 0.0], [lost, gained, images - lost - gained])


def outcomes(images):
    """Return all numbers of losses and gains of so many images."""
    lost, gained = np.meshgrid(np.arange(images + 1), np.arange(images + 1), indexing="ij")
    possible = lost + gained <= images
    return lost[possible], gained[possible]


@pytest.mark.parametrize(("images", "tolerance"), [(30, 0.1), (45, 0.05)])
def test_exact_error_rate_whatever_the_share_of_gains(images, tolerance):
    """P(p <= δ) over all outcomes is at most δ, and not far below where there are few gains."""
    lost, gained = outcomes(images)
    likely = (lost <= 14) & (gained <= 14)  # rejections beyond would need far more gains
    pairs = zip(lost[likely], gained[likely], strict=True)
    values = np.ones(len(lost))
    values[likely] = [trinomial_p_value(losses_of(*pair, images), tolerance) for pair in pairs]
    counts = np.stack([lost, gained, images - lost - gained], axis=1)
    for gains in (0.0, 0.01, 0.05, 0.1, 0.2):
        chances = (gains + tolerance, gains, 1 - 2 * gains - tolerance)
        chance = multinomial.pmf(counts, images, chances)
        for delta in (0.05, 0.1, 0.2):
            rejected = chance[values <= delta].sum()
            assert rejected <= delta
            assert delta < 0.2 or gains < 0.05 or rejected > 0.1


def test_the_score_rises_with_losses_and_falls_with_gains():
    for images in (10, 57, 120):
        lost, gained = np.meshgrid(np.arange(images + 1), np.arange(images + 1), indexing="ij")
        for tolerance in (0.01, 0.05, 0.3):
            values = score(lost, gained, images, tolerance)
            values[lost + gained > images] = np.nan
            assert np.nanmin(np.diff(values, axis=0)) > 0
            assert np.nanmax(np.diff(values, axis=1)) < 0


def test_the_score_uses_the_likeliest_share_of_gains():
    """The share that maximises the likelihood, found by trying, gives the same standard error."""
    lost, gained, images, tolerance = 17, 7, 500, 0.05
    share = np.linspace(1e-4, 0.04, 400_000)
    rest = images - lost - gained
    likelihood = (
        lost * np.log(share + tolerance)
        + gained * np.log(share)
        + rest * np.log(1 - tolerance - 2 * share)
    )
    best = share[likelihood.argmax()]
    error = np.sqrt(images * (2 * best + tolerance - tolerance**2))
    by_hand = (lost - gained - images * tolerance) / error
    assert score(np.array(lost), np.array(gained), images, tolerance) == pytest.approx(
        by_hand, rel=1e-5
    )


def test_with_many_images_it_is_the_normal_tail_of_the_score():
    value = trinomial_p_value(losses_of(60, 30, 3000), 0.02)
    normal = norm.cdf(score(np.array(60), np.array(30), 3000, 0.02))
    assert value == pytest.approx(normal, rel=0.1)


def test_it_needs_far_fewer_images_than_betting():
    for lost, gained, images, tolerance in ((7, 3, 100, 0.1), (17, 7, 500, 0.05)):
        losses = losses_of(lost, gained, images)
        assert trinomial_p_value(losses, tolerance) < 0.2 * betting_p_value(losses, tolerance)


def test_edges():
    assert trinomial_p_value(losses_of(20, 0, 20), 0.05) == 1.0
    assert trinomial_p_value(losses_of(0, 20, 20), 0.05) < 1e-4
    assert 0.0 < trinomial_p_value(losses_of(1, 0, 1), 0.05) <= 1.0
    # Without gains it is close to the binomial: one nuisance parameter more, at most 0.
    exact = binomial_p_value(losses_of(3, 0, 200), 0.05)
    assert exact <= trinomial_p_value(losses_of(3, 0, 200), 0.05) < 3 * exact
    assert np.isfinite(trinomial_p_value(losses_of(30, 24, 100), 0.1))
