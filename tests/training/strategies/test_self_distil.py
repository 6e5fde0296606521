"""Distillation from the final exit: the published code's losses, gradients and temperatures."""

import pytest
import torch

from endoexit.training.strategies.joint import JointSettings
from endoexit.training.strategies.self_distil import SelfDistilSettings
from golden_losses import GOLDEN, check, golden_logits

CASES = GOLDEN["phuong_lampert"]["cases"]
SCALE = 10 / 3  # their factor 2·5/M of the loss with the schedule, which changes no optimum


def test_at_a_constant_temperature_it_is_that_of_the_published_code():
    logits, labels = golden_logits("phuong_lampert")
    strategy = SelfDistilSettings(temperature=4.0).build(3, 0.0)
    for _ in range(2):  # a fixed temperature stays
        check(strategy(logits, labels), logits, CASES["constant_temperature_C0.5_T4"])


def test_with_their_schedule_losses_and_temperatures_are_theirs():
    logits, labels = golden_logits("phuong_lampert")
    strategy = SelfDistilSettings().build(3, 0.0).train()
    case = CASES["annealed_C0.5_maxprob0.5_scale10/3"]
    check(strategy(logits, labels), logits, case["first"], SCALE)
    strategy = SelfDistilSettings().build(3, 0.0).train()
    for step in case["steps"]:
        assert strategy.temperature.item() == pytest.approx(step["temperature_before"], rel=1e-5)
        assert SCALE * strategy(logits, labels).item() == pytest.approx(step["loss"], rel=1e-5)


def test_it_is_the_joint_sum_where_nothing_is_distilled():
    logits, labels = golden_logits("phuong_lampert")
    strategy = SelfDistilSettings(alpha=0.0).build(3, 0.1)
    assert torch.equal(strategy(logits, labels), JointSettings().build(3, 0.1)(logits, labels))


def test_weights_scale_both_sums():
    logits, labels = golden_logits("phuong_lampert")
    last_alone = SelfDistilSettings(temperature=2.0, weights=(0.0, 0.0, 3.0)).build(3, 0.0)
    joint = JointSettings().build(1, 0.0)([logits[-1]], labels)
    assert torch.allclose(last_alone(logits, labels), 0.5 * 3 * joint)


def test_the_temperature_grows_only_when_the_teacher_is_sure_and_training():
    sure, unsure = torch.tensor([[9.0, 0.0]]), torch.tensor([[0.1, 0.0]])
    target = torch.tensor([0])
    strategy = SelfDistilSettings().build(2, 0.0)
    for training, expected in ((True, 1.05), (False, 1.05)):
        strategy.train(training)
        strategy([unsure, sure], target)
        assert strategy.temperature.item() == pytest.approx(expected)
    three = torch.zeros(1, 3)  # top probability 1/3 at any temperature
    alike = SelfDistilSettings().build(2, 0.0).train()
    alike([three, three], target)
    assert alike.temperature.item() == 1.0


def test_all_processes_of_a_training_have_the_same_temperature(monkeypatch):
    """The other process is so unsure that both together are."""
    strategy = SelfDistilSettings().build(2, 0.0).train()
    kept = strategy.temperature
    distributed = torch.distributed
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(distributed, "all_reduce", lambda value: value.mul_(0.9))
    sure, unsure = torch.tensor([[9.0, 0.0]]), torch.tensor([[0.1, 0.0]])
    strategy([unsure, sure], torch.tensor([0]))
    assert strategy.temperature.item() == 1.0
    monkeypatch.setattr(distributed, "all_reduce", lambda value: value.mul_(2))
    strategy([unsure, sure], torch.tensor([0]))
    assert strategy.temperature.item() == pytest.approx(1.05)
    assert strategy.temperature is kept  # the one that processes share


def test_a_network_without_early_exits_learns_from_the_labels():
    logits, labels = golden_logits("phuong_lampert")
    alone = SelfDistilSettings().build(1, 0.1)(logits[-1:], labels)
    assert torch.equal(alone, JointSettings().build(1, 0.1)(logits[-1:], labels))
