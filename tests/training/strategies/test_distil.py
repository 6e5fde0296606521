"""Distillation from another run: the loss by its formula, and where it is the joint sum."""

from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional

from endoexit.errors import UsageError
from endoexit.training.strategies.distil import DistilSettings
from endoexit.training.strategies.joint import JointSettings
from golden_losses import golden_logits

TEACHER = torch.randn(3, 5, 4, dtype=torch.float64)


def settings(**changes: object) -> DistilSettings:
    return DistilSettings(teacher="runs/large", **changes)


def test_half_of_each_loss_is_learnt_from_the_teacher_at_temperature_2():
    logits, labels = golden_logits("phuong_lampert")
    loss = settings().build(3, 0.0)(logits, labels, TEACHER)
    soft = functional.softmax(TEACHER[-1].float() / 2, dim=1).double()
    expected = sum(
        0.5 * functional.cross_entropy(z, labels)
        - 0.5 * 4 * (soft * functional.log_softmax(z / 2, dim=1)).sum(1).mean()
        for z in logits
    )
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=0)
    # ∂H(q, softmax(z / T)) / ∂z = (softmax(z / T) − q) / (T N)
    (gradient,) = torch.autograd.grad(loss, logits[0])
    hard = functional.softmax(logits[0], dim=1) - functional.one_hot(labels, 4)
    taught = functional.softmax(logits[0] / 2, dim=1) - soft
    torch.testing.assert_close(gradient, (0.5 * hard + 0.5 * 2 * taught) / 5, rtol=1e-6, atol=1e-8)


def test_exit_by_exit_each_learns_from_its_own_teacher():
    logits, labels = golden_logits("phuong_lampert")
    loss = settings(exit_by_exit=True, alpha=1.0).build(3, 0.0)(logits, labels, TEACHER)
    expected = 0.0
    for known, z in zip(TEACHER, logits, strict=True):
        soft = functional.softmax(known.float() / 2, dim=1).double()
        expected -= 4 * (soft * functional.log_softmax(z / 2, dim=1)).sum(1).mean()
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=0)
    same = settings(exit_by_exit=True, alpha=1.0).build(3, 0.0)
    learnt = [z.detach().float().requires_grad_() for z in logits]
    gradients = torch.autograd.grad(same(learnt, labels, torch.stack(learnt)), learnt)
    assert max(each.abs().max() for each in gradients) < 1e-7, "who answers alike learns nothing"


def test_exit_by_exit_takes_as_many_exits():
    strategy = settings(exit_by_exit=True).build(2, 0.0)
    small, large = (SimpleNamespace(num_stages=count) for count in (2, 4))
    strategy.follow(small, 32, small, 32)
    with pytest.raises(UsageError, match=r"the network, 2, but it has 4: leave out strategy\.exit"):
        strategy.follow(small, 32, large, 32)
    settings().build(2, 0.0).follow(small, 32, large, 32)


def test_exits_that_are_not_taught_learn_from_the_labels_alone():
    logits, labels = golden_logits("phuong_lampert")
    some = settings(exits=(1,), weights=(0.0, 1.0, 1.0)).build(3, 0.0)
    joint = JointSettings().build(2, 0.0)
    torch.testing.assert_close(some(logits, labels, TEACHER), joint(logits[1:], labels))
    first_alone = settings(exits=(1,)).build(3, 0.0)
    assert first_alone(logits, labels, TEACHER) > some(logits, labels, TEACHER)


def test_it_is_the_joint_sum_where_nothing_is_distilled():
    logits, labels = golden_logits("phuong_lampert")
    strategy = settings(alpha=0.0).build(3, 0.1)
    expected = JointSettings().build(3, 0.1)(logits, labels)
    torch.testing.assert_close(strategy(logits, labels, TEACHER), expected, rtol=1e-12, atol=0)


def test_without_a_teachers_answers_it_says_so():
    logits, labels = golden_logits("phuong_lampert")
    with pytest.raises(UsageError, match="needs the answers of a teacher: name its run"):
        settings().build(3, 0.0)(logits, labels)
