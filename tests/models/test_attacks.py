"""Attacks against the numbers of the published code, and what holds of every attack."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from endoexit.models.attacks import attack, average, max_average, random_starts, single
from golden.fill import fill

GOLDEN = Path(__file__).parents[1] / "golden"
FACTS = json.loads((GOLDEN / "attacks.json").read_text())
EPSILON, STEP, STEPS = 0.03137, 0.00784, 10
SETTINGS = {"epsilon": EPSILON, "step": STEP, "steps": STEPS}


@pytest.fixture(scope="module")
def layers():
    return [(torch.from_numpy(fill(f"exit{k}.weight", (10, 3072))),
             torch.from_numpy(fill(f"exit{k}.bias", (10,)))) for k in range(1, 8)]  # fmt: skip


@pytest.fixture(scope="module")
def network(layers):
    return lambda x: [x.flatten(1) @ weight.T + bias for weight, bias in layers]


@pytest.fixture(scope="module")
def images():
    drawn = np.random.default_rng(31).uniform(0, 1, (3, 3, 32, 32)).astype(np.float32)
    return torch.from_numpy(drawn)


LABELS = torch.tensor([1, 4, 7])


def check(attacked, images, network, name):
    with np.load(GOLDEN / "attacks.npz") as arrays:
        stored = torch.from_numpy(arrays[name].astype(np.float32))
    change = (attacked - images) / EPSILON
    near = (change - stored).abs() < 2e-3
    assert near.float().mean() > 0.999, "a sign may differ where a gradient is almost zero"
    losses = [cross_entropy(logits, LABELS).item() for logits in network(attacked)]
    assert losses == pytest.approx(FACTS[name]["losses_of_exits"], rel=2e-3)
    assert (attacked - images).abs().mean().item() == pytest.approx(
        FACTS[name]["l1_mean"], rel=1e-3
    )


def test_the_network_is_that_of_the_golden_numbers(network, images):
    losses = [cross_entropy(logits, LABELS).item() for logits in network(images)]
    assert losses == pytest.approx(FACTS["clean"]["losses_of_exits"], rel=1e-5)


@pytest.mark.parametrize(
    ("name", "loss"), [("main", single(7)), ("branchy", average), ("exit3", single(3))]
)
def test_an_attack_is_the_published_one(network, images, name, loss):
    check(attack(network, images, LABELS, loss, **SETTINGS), images, network, name)


def test_the_strongest_of_single_attacks_is_the_published_one(network, images):
    random = np.random.default_rng(32)
    starts = []
    for _ in range(7):
        drawn = random.uniform(0, 1, (3, 3, 32, 32)).astype(np.float32)
        starts.append(images + (2 * torch.from_numpy(drawn) - 1) * EPSILON)
    check(max_average(network, images, LABELS, starts, **SETTINGS), images, network, "max_v2")


def test_changes_stay_within_their_size_and_images_within_their_range(network, images):
    starts = random_starts(images, 7, torch.Generator().manual_seed(0))
    assert len({start.sum().item() for start in starts}) == 7
    for attacked in (attack(network, images, LABELS, average),
                     max_average(network, images, LABELS, starts)):  # fmt: skip
        assert (attacked - images).abs().max() <= 8 / 255 + 1e-6
        assert 0 <= attacked.min() <= attacked.max() <= 1
        assert not attacked.requires_grad
