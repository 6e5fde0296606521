import numpy as np
import pytest
import scipy.stats

from endoexit.evaluation.intervals import (
    BOOTSTRAP,
    EXACT_GROUPS,
    GroupBootstrap,
    exact_interval,
)


def test_groups_of_one_give_the_interval_of_scipy():
    random = np.random.default_rng(1)
    hits = random.random(200) < 0.8
    ours = GroupBootstrap(np.arange(200), resamples=20_000).proportion(hits)
    theirs = scipy.stats.bootstrap(
        (hits,), np.mean, n_resamples=20_000, method="percentile", rng=random
    ).confidence_interval
    assert ours.value == hits.mean()
    assert ours.interval.method == BOOTSTRAP
    assert (ours.interval.low, ours.interval.high) == pytest.approx(
        (theirs.low, theirs.high), abs=0.006
    )


def test_images_of_one_group_count_as_one_draw():
    random = np.random.default_rng(2)
    per_group = random.random(60) < 0.7
    once = GroupBootstrap(np.arange(60), seed=3).proportion(per_group)
    copied = GroupBootstrap(np.repeat(np.arange(60), 10), seed=3).proportion(
        np.repeat(per_group, 10)
    )
    independent = GroupBootstrap(np.arange(600), seed=3).proportion(np.repeat(per_group, 10))
    assert copied == once  # ten copies of each image add no knowledge
    narrow = independent.interval.high - independent.interval.low
    assert narrow < 0.5 * (once.interval.high - once.interval.low)


def test_every_draw_takes_as_many_groups_as_there_are():
    bootstrap = GroupBootstrap(["a", "a", "a", "b", "c", "c"], resamples=500)
    one_a_group = np.array([1 / 3, 1 / 3, 1 / 3, 1, 1 / 2, 1 / 2])
    assert bootstrap.sums(one_a_group) == pytest.approx(np.full(500, 3.0))
    assert set(bootstrap.images) <= {3, 4, 5, 6, 7, 8, 9}
    assert bootstrap.images.min() == 3  # three times b
    assert bootstrap.images.max() == 9  # three times a


def test_sums_do_not_depend_on_how_many_draws_are_held_at_once(monkeypatch):
    values = np.random.default_rng(4).normal(size=(50, 3))
    groups = np.arange(50) // 2
    whole = GroupBootstrap(groups, resamples=300, seed=5).sums(values)
    monkeypatch.setattr("endoexit.evaluation.intervals._CELLS", 40 * 25)
    assert np.array_equal(GroupBootstrap(groups, resamples=300, seed=5).sums(values), whole)
    assert not np.array_equal(GroupBootstrap(groups, resamples=300, seed=6).sums(values), whole)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    random = np.random.default_rng(6)
    covered = 0
    for repetition in range(300):
        rate = random.beta(8, 2, size=80)  # groups differ in difficulty; the mean rate is 0.8
        hits = random.random(320) < np.repeat(rate, 4)
        estimate = GroupBootstrap(np.repeat(np.arange(80), 4), 1000, seed=repetition).proportion(
            hits
        )
        covered += estimate.interval.low <= 0.8 <= estimate.interval.high
    assert 0.90 <= covered / 300 <= 0.985


@pytest.mark.parametrize(("hit", "value"), [(True, 1.0), (False, 0.0)])
def test_without_spread_the_exact_interval_over_groups_stands_in(hit, value):
    estimate = GroupBootstrap(["a", "a", "b", "c"]).proportion(np.full(4, hit))
    assert estimate.value == value
    assert estimate.interval.method == EXACT_GROUPS
    edge = 0.025 ** (1 / 3)  # three groups, all alike
    expected = (edge, 1.0) if hit else (0.0, 1 - edge)
    assert (estimate.interval.low, estimate.interval.high) == pytest.approx(expected)


def test_one_group_has_no_interval_and_says_why():
    estimate = GroupBootstrap(["a"] * 4).mean([1.0, 0.0, 0.0, 1.0])
    assert estimate.value == 0.5
    assert estimate.interval is None
    assert estimate.reason == "no interval: every draw of groups gives the same value"


def test_exact_interval_of_a_textbook_case():
    # 8 of 10: Clopper & Pearson give 0.444 to 0.975.
    interval = exact_interval(8, 10)
    assert (interval.low, interval.high) == pytest.approx((0.4439, 0.9748), abs=1e-4)
