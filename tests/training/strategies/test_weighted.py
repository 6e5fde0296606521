"""Weights of exits in the loss, and that a ramp moves with the epochs."""

import torch
from torch.nn import functional

from endoexit.training.strategies.joint import JointSettings
from endoexit.training.strategies.weighted import WeightedSettings


def test_weights_scale_each_exit():
    logits = [torch.randn(6, 4) for _ in range(3)]
    target = torch.randint(0, 4, (6,))
    loss = WeightedSettings(weights=(1.0, 0.5, 0.25)).build(3, 0.0)(logits, target)
    single = [functional.cross_entropy(z, target) for z in logits]
    assert torch.allclose(loss, single[0] + 0.5 * single[1] + 0.25 * single[2])


def test_equal_weights_are_the_joint_sum():
    logits = [torch.randn(6, 4) for _ in range(3)]
    target = torch.randint(0, 4, (6,))
    weighted = WeightedSettings(weights="equal").build(3, 0.1)
    assert torch.equal(weighted(logits, target), JointSettings().build(3, 0.1)(logits, target))


def test_a_ramp_moves_with_the_epochs():
    strategy = WeightedSettings(weights="sdn").build(3, 0.0)
    strategy.begin_epoch(5, 10)
    assert torch.allclose(strategy.weights, torch.tensor([0.01 + 0.225, 0.01 + 0.45, 1.0]))
    strategy.begin_epoch(10, 10)
    assert torch.allclose(strategy.weights, torch.tensor([0.45, 0.9, 1.0]))
