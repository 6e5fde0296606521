"""Memory of exits: when it lets an image exit, and when the exit policy alone decides."""

import numpy as np
import pytest

from endoexit.errors import UsageError
from endoexit.policy import fixed_exit, threshold_policy
from endoexit.policy.temporal.exit_memory import Remembered
from endoexit.policy.temporal.settings import ExitMemory

NONE = np.empty((1, 0), np.int64)


def logits(probability: float, label: int = 0) -> np.ndarray:
    """Return logits (1, 2) whose softmax gives the label this probability."""
    values = np.log([[probability, 1 - probability]])
    return values if label == 0 else values[:, ::-1]


def remembered(*exits: int, label: int = 0, frames: int = 25, helped: bool = False) -> Remembered:
    policy = threshold_policy(4, 0.9)
    memory = Remembered(ExitMemory(slack=0.2, frames=frames), policy)
    for exit_number in exits:
        memory.note(label, exit_number, helped=helped)
    return memory


def test_a_lowered_threshold_lets_an_image_exit():
    memory = remembered(1, 1)
    assert memory.lets_exit(1, logits(0.75), NONE)
    assert not memory.lets_exit(1, logits(0.65), NONE)


def test_nothing_happens_before_two_images_agree():
    assert not remembered().lets_exit(1, logits(0.75), NONE)
    assert not remembered(1).lets_exit(1, logits(0.75), NONE)


def test_no_image_exits_more_than_one_exit_earlier_than_the_last():
    memory = remembered(3, 3)
    before = np.zeros((1, 1), np.int64)
    assert not memory.lets_exit(1, logits(0.75), NONE)
    assert memory.lets_exit(2, logits(0.75), before)


def test_another_label_goes_by_the_exit_policy_and_so_does_the_next_image():
    memory = remembered(1, 1)
    assert not memory.lets_exit(1, logits(0.75, label=1), NONE)
    memory.note(1, 2, helped=False)
    assert not memory.lets_exit(1, logits(0.75, label=1), NONE)
    memory.note(1, 1, helped=False)
    assert memory.lets_exit(1, logits(0.75, label=1), NONE)


def test_after_so_many_images_one_goes_by_the_exit_policy():
    assert remembered(1, 1, 1, frames=4, helped=True).lets_exit(1, logits(0.75), NONE)
    memory = remembered(1, 1, 1, 1, frames=4, helped=True)
    assert not memory.lets_exit(1, logits(0.75), NONE)
    memory.note(0, 1, helped=False)
    assert memory.lets_exit(1, logits(0.75), NONE)


def test_a_cut_makes_it_forget():
    memory = remembered(1, 1)
    memory.forget()
    assert not memory.lets_exit(1, logits(0.75), NONE)


def test_an_exit_policy_without_thresholds_is_refused():
    with pytest.raises(UsageError, match=r"fixed has none: .* --threshold"):
        Remembered(ExitMemory(), fixed_exit(4, 4))
