"""EENet's multi-exit loss by its formula; when its distillation begins; where it is the sum."""

import pytest
import torch
from torch.nn import functional

from endoexit.training.strategies.eenet import EENetSettings
from endoexit.training.strategies.joint import JointSettings
from golden_losses import GOLDEN, golden_logits


def test_until_three_quarters_of_the_epochs_exits_are_weighted_and_sum_to_a_half():
    logits, labels = golden_logits("phuong_lampert")
    strategy = EENetSettings().build(3, 0.0)
    expected = sum(k * functional.cross_entropy(z, labels) / 12 for k, z in enumerate(logits, 1))
    for epoch in (1, 7):  # 6 of 8 epochs are done, which is not more than three quarters
        strategy.begin_epoch(epoch, 8)
        torch.testing.assert_close(strategy(logits, labels), expected, rtol=1e-6, atol=0)
    strategy.begin_epoch(8, 8)
    assert strategy(logits, labels) > expected


def test_then_early_exits_learn_from_the_final_one_which_learns_from_them():
    logits, labels = golden_logits("phuong_lampert")
    strategy = EENetSettings(after=0.0, weights=(0.0, 0.0, 1.0)).build(3, 0.0)
    strategy.begin_epoch(2, 2)
    soft = [functional.softmax(z / 3, dim=1) for z in logits]
    divergence = sum((soft[-1] * (soft[-1].log() - p.log())).sum() / p.numel() for p in soft[:-1])
    expected = functional.cross_entropy(logits[-1], labels) + 0.01 * 9 * divergence
    loss = strategy(logits, labels)
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=0)
    wanted = torch.autograd.grad(expected, logits)
    for got, want in zip(torch.autograd.grad(loss, logits), wanted, strict=True):
        torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-9)


def test_the_divergence_is_that_of_imta_which_the_published_code_gives():
    """The mean over images and classes, as in IMTA, whose golden loss has the same terms."""
    logits, labels = golden_logits("imta_loss")
    golden = GOLDEN["imta_loss"]
    t, gamma = golden["T"], golden["gamma"]
    weights = (1 - gamma, 1 - gamma, 1.0)
    settings = EENetSettings(after=0.0, weights=weights, alpha=gamma, temperature=t)
    strategy = settings.build(3, 0.0)
    strategy.begin_epoch(2, 2)
    assert strategy(logits, labels).item() == pytest.approx(golden["loss"], rel=1e-6)


def test_it_is_the_joint_sum_with_equal_weights_and_nothing_distilled():
    logits, labels = golden_logits("phuong_lampert")
    strategy = EENetSettings(after=0.0, weights="equal", alpha=0.0).build(3, 0.1)
    strategy.begin_epoch(2, 2)
    assert torch.equal(strategy(logits, labels), JointSettings().build(3, 0.1)(logits, labels))
