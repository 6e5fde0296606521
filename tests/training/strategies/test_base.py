"""The joint sum, by hand; what all strategies share."""

import math

import pytest
import torch
from torch.nn import functional

from endoexit.errors import UsageError
from endoexit.training.recipe import Recipe
from endoexit.training.strategies.base import Strategy, softened_entropy
from endoexit.training.strategies.catalog import STRATEGIES


def test_the_papers_loss_by_hand():
    # Two classes, logits (0, 0) and (ln 3, 0): probabilities 1/2 and 3/4 of the true class.
    logits = [torch.tensor([[0.0, 0.0]]), torch.tensor([[math.log(3), 0.0]])]
    loss = Strategy(2)(logits, torch.tensor([0]))
    assert loss.item() == pytest.approx(math.log(2) + math.log(4 / 3))


def test_one_exit_reduces_to_cross_entropy():
    logits = torch.randn(6, 4)
    target = torch.randint(0, 4, (6,))
    loss = Strategy(1, 0.1)([logits], target)
    assert torch.allclose(loss, functional.cross_entropy(logits, target, label_smoothing=0.1))


def test_bfloat16_logits_are_summed_in_float32():
    logits = [torch.randn(6, 4).bfloat16() for _ in range(4)]
    target = torch.randint(0, 4, (6,))
    with torch.autocast("cpu", torch.bfloat16):
        loss = Strategy(4)(logits, target)
    expected = sum(functional.cross_entropy(z.float(), target) for z in logits)
    assert loss.dtype == torch.float32
    assert torch.allclose(loss, expected, rtol=1e-6)


def test_the_softened_entropy_by_its_formula_and_with_the_teacher_held_fixed():
    teacher = torch.randn(5, 3, requires_grad=True)
    student = torch.randn(5, 3, requires_grad=True)
    value = softened_entropy(teacher, student, torch.tensor(2.0))
    soft = -(functional.softmax(teacher / 2, 1) * functional.log_softmax(student / 2, 1)).sum(1)
    assert torch.allclose(value, soft.mean())
    value.backward()
    assert teacher.grad is None
    assert student.grad.abs().sum() > 0


@pytest.mark.parametrize("name", [n for n, each in STRATEGIES.items() if each.fewest_exits > 1])
def test_a_strategy_between_exits_refuses_a_network_with_one(name):
    recipe = Recipe.model_validate({"strategy": {"name": name}})
    message = rf"strategy {name} needs a network with at least 2 exits, but this one has 1: .*joint"
    with pytest.raises(UsageError, match=message):
        recipe.make_strategy(1)


@pytest.mark.parametrize("name", STRATEGIES)
def test_soft_targets_and_label_smoothing_work_with_every_strategy(name):
    settings = {"name": name} | ({"teacher": "runs/large"} if name == "distil" else {})
    recipe = Recipe.model_validate({"strategy": settings, "loss": {"label_smoothing": 0.1}})
    loss = recipe.make_strategy(3).eval()  # a temperature would grow
    loss.begin_epoch(1, 4)
    labels = torch.tensor([0, 2, 1, 2, 0])
    logits = [torch.randn(5, 3, requires_grad=True) for _ in range(3)]
    teacher = torch.stack(logits).detach()
    hard = loss(logits, labels, teacher)
    soft = loss(logits, functional.one_hot(labels, 3).float(), teacher)
    assert torch.isfinite(hard)
    assert torch.allclose(hard, soft, rtol=1e-5)
    plain = Recipe.model_validate({"strategy": settings}).make_strategy(3).eval()
    plain.begin_epoch(1, 4)
    assert not torch.allclose(plain(logits, labels, teacher), hard)
