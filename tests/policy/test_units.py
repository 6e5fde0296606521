import math

import numpy as np
import pytest
from scipy.stats import binom, norm

from endoexit.policy.logits import LogitSet
from endoexit.policy.risks import loss_table, parse_risk
from endoexit.policy.units import UnitLosses, better_value

CLASSES = ("normal", "polyp")


def units(wrong, groups, value="one image", risk="disagreement<=0.1", labels=None):
    """Losses of two exits; the first is wrong on the images where `wrong` is 1."""
    wrong = np.asarray(wrong)
    labels = np.zeros(len(wrong), dtype=np.int64) if labels is None else np.asarray(labels)
    answers = np.stack([np.abs(labels - wrong), labels])
    data = LogitSet("certify", np.eye(2)[answers], labels)
    return UnitLosses(loss_table(parse_risk(risk), data, CLASSES), np.asarray(groups), value)


def exit_one(count):
    return np.ones(count, dtype=np.int64)


def test_one_image_is_drawn_from_each_group_and_always_the_same():
    groups = np.random.default_rng(0).permutation(np.repeat(np.arange(50), 4))
    losses = units((groups % 3 == 0).astype(int), groups)
    drawn = losses.of(exit_one(200))
    assert drawn.tolist() == [float(group % 3 == 0) for group in range(50)]
    assert losses.count == 50
    assert losses.method == "exact binomial"
    wrong = np.arange(200) % 2
    assert (units(wrong, groups).of(exit_one(200)) == units(wrong, groups).of(exit_one(200))).all()


def test_each_image_of_a_group_is_as_likely_to_be_drawn():
    """4000 groups of four, of which one given image is wrong: a quarter of them draws it."""
    for place in range(4):
        wrong = (np.arange(16_000) % 4 == place).astype(int)
        drawn = units(wrong, np.arange(16_000) // 4).of(exit_one(16_000))
        assert binom.cdf(drawn.sum(), 4000, 0.25) == pytest.approx(0.5, abs=0.499)


def test_only_images_of_the_class_are_drawn():
    labels = [1, 0, 0, 1, 1, 0]
    losses = units([1, 0, 0, 0, 0, 0], [7, 7, 7, 9, 9, 3], risk="missed[polyp]<=0.1", labels=labels)
    assert losses.of(exit_one(6)).tolist() == [1.0, 0.0]  # group 3 has no polyp


def test_share_between_is_one_for_equal_losses_and_one_in_m_for_independent_ones():
    generator = np.random.default_rng(0)
    groups = np.arange(40_000) // 4
    alike = units((generator.random(10_000) < 0.2).repeat(4).astype(int), groups)
    apart = units((generator.random(40_000) < 0.2).astype(int), groups)
    none = units(np.zeros(40_000, dtype=int), groups)
    exits = [exit_one(40_000)]
    assert alike.share_between(exits) == pytest.approx(1.0)
    assert apart.share_between(exits) == pytest.approx(0.25, abs=0.01)
    assert none.share_between(exits) == 1.0


def test_means_are_better_where_betting_needs_fewer_of_their_standard_errors():
    limit = norm.isf(0.05) ** 2 / (2 * math.log(1 / 0.05))
    assert limit == pytest.approx(0.4515, abs=1e-4)
    assert better_value(limit + 0.001, 0.05) == "one image"
    assert better_value(limit - 0.001, 0.05) == "mean"
    assert better_value(0.0001, 0.6) == "one image"  # an exact test at 0.6 needs no distance
