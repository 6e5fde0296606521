"""The loss of all exits: the paper's, weighted, and with self-distillation."""

import math

import pytest
import torch
from torch.nn import functional

from endoexit.errors import UsageError
from endoexit.training.losses import MultiExitLoss
from endoexit.training.recipe import LossSettings


def exits(*rows):
    return [torch.tensor([row], dtype=torch.float32) for row in rows]


def test_the_papers_loss_by_hand():
    # Two classes, logits (0, 0) and (ln 3, 0): probabilities 1/2 and 3/4 of the true class.
    logits = exits([0.0, 0.0], [math.log(3), 0.0])
    loss = MultiExitLoss(LossSettings(), 2)(logits, torch.tensor([0]))
    assert loss.item() == pytest.approx(math.log(2) + math.log(4 / 3))


def test_one_exit_reduces_to_cross_entropy():
    logits = torch.randn(6, 4)
    target = torch.randint(0, 4, (6,))
    for settings in (LossSettings(), LossSettings(distillation=0.5)):
        loss = MultiExitLoss(settings, 1)([logits], target)
        assert torch.allclose(loss, functional.cross_entropy(logits, target))


def test_weights_scale_each_exit():
    logits = [torch.randn(6, 4) for _ in range(3)]
    target = torch.randint(0, 4, (6,))
    loss = MultiExitLoss(LossSettings(exit_weights=(1.0, 0.5, 0.25)), 3)(logits, target)
    single = [functional.cross_entropy(z, target) for z in logits]
    assert torch.allclose(loss, single[0] + 0.5 * single[1] + 0.25 * single[2])


def test_distillation_by_its_formula_and_with_the_teacher_held_fixed():
    student = torch.randn(5, 3, requires_grad=True)
    teacher = torch.randn(5, 3, requires_grad=True)
    target = torch.randint(0, 3, (5,))
    loss = MultiExitLoss(LossSettings(distillation=0.3), 2).eval()
    loss.temperature.fill_(2.0)
    hard = functional.cross_entropy(student, target) + functional.cross_entropy(teacher, target)
    soft = -(functional.softmax(teacher / 2, 1) * functional.log_softmax(student / 2, 1)).sum(1)
    assert torch.allclose(loss([student, teacher], target), 0.7 * hard + 0.3 * 4 * soft.mean())
    loss([student, teacher], target).backward()
    fixed = teacher.detach().clone().requires_grad_(True)
    (0.7 * functional.cross_entropy(fixed, target)).backward()
    assert torch.allclose(teacher.grad, fixed.grad, atol=1e-6)


def test_the_temperature_grows_only_when_the_teacher_is_sure_and_training():
    sure, unsure = torch.tensor([[9.0, 0.0]]), torch.tensor([[0.1, 0.0]])
    target = torch.tensor([0])
    loss = MultiExitLoss(LossSettings(distillation=0.5), 2)
    for teacher, training, expected in ((sure, True, 1.05), (sure, False, 1.05)):
        loss.train(training)
        loss([unsure, teacher], target)
        assert loss.temperature.item() == pytest.approx(expected)
    three = torch.zeros(1, 3)  # top probability 1/3 at any temperature
    other = MultiExitLoss(LossSettings(distillation=0.5), 2).train()
    other([three, three], target)
    assert other.temperature.item() == 1.0


def test_bfloat16_logits_are_summed_in_float32():
    logits = [torch.randn(6, 4).bfloat16() for _ in range(4)]
    target = torch.randint(0, 4, (6,))
    with torch.autocast("cpu", torch.bfloat16):
        loss = MultiExitLoss(LossSettings(), 4)(logits, target)
    expected = sum(functional.cross_entropy(z.float(), target) for z in logits)
    assert loss.dtype == torch.float32
    assert torch.allclose(loss, expected, rtol=1e-6)


@pytest.mark.parametrize("weights", [(1.0, 1.0), (1.0, -1.0, 1.0), (1.0, 1.0, 0.0)])
def test_wrong_weights_say_how_many_are_needed(weights):
    with pytest.raises(UsageError, match="must be 3 numbers, one an exit"):
        MultiExitLoss(LossSettings(exit_weights=weights), 3)
