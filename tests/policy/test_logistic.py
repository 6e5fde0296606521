import numpy as np
import pytest

from endoexit.policy.logistic import fit_logistic


def sample(images=400, seed=0):
    generator = np.random.default_rng(seed)
    features = np.column_stack([generator.normal(size=(images, 2)), np.ones(images)])
    targets = generator.random(images) < 1 / (1 + np.exp(-(2 * features[:, 0] + 0.5)))
    return features, targets


def test_the_slope_of_the_penalised_loss_is_zero():
    features, targets = sample()
    weights = np.random.default_rng(1).uniform(0, 3, size=400)
    beta = fit_logistic(features, targets, weights, ridge=0.7)
    chance = 1 / (1 + np.exp(-features @ beta))
    scaled = weights / weights.mean()
    slope = features.T @ (scaled * (chance - targets)) + 0.7 * np.array([1, 1, 0.01]) * beta
    assert np.abs(slope).max() < 0.02  # of 400 images
    assert beta == pytest.approx([2, 0, 0.5], abs=0.5)


def test_a_weight_of_two_is_the_image_twice():
    features, targets = sample(60)
    weights = np.where(np.arange(60) < 20, 2.0, 1.0)
    twice = np.concatenate([np.arange(60), np.arange(20)])
    once = fit_logistic(features, targets, weights * 80 / 60, 1.0)
    repeated = fit_logistic(features[twice], targets[twice], np.ones(80), 80 / 60)
    assert once == pytest.approx(repeated, abs=1e-3)


def test_images_without_weight_do_not_count():
    features, targets = sample()
    weights = (np.arange(400) < 200).astype(float)
    flipped = np.where(weights > 0, targets, ~targets)
    assert np.array_equal(
        fit_logistic(features, targets, weights, 1.0),
        fit_logistic(features, flipped, weights, 1.0),
    )


def test_nothing_to_learn_gives_zeros():
    features, targets = sample()
    assert fit_logistic(features, targets, np.zeros(400), 1.0).tolist() == [0, 0, 0]


def test_a_single_kind_of_target_moves_the_bias():
    features, _ = sample()
    beta = fit_logistic(features, np.ones(400, bool), np.ones(400), 1.0)
    assert (features @ beta > 2).all()
