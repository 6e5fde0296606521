"""Configurations of MSDNet have the published costs and widths; others are checked."""

import re

import pytest
import torch

from endoexit.errors import UsageError
from endoexit.models.cost import measure_complexity
from endoexit.models.msdnet.config import MSDNetConfig, msdnet_configs
from endoexit.models.msdnet.network import MSDNet
from golden_networks import counts

CONFIGS = msdnet_configs()
COUNTS = counts("msdnet")


def classes(name: str) -> int:
    return 1000 if "imagenet" in name else 100 if "100" in name or "phuong" in name else 10


def blank(name: str, *, lazy: bool) -> MSDNet:
    with torch.device("meta"):
        return MSDNet(CONFIGS[name].replaced({"lazy": lazy}), classes(name))


@pytest.mark.parametrize("name", COUNTS)
def test_every_configuration_has_the_published_costs_and_widths(name):
    complexity = measure_complexity(blank(name, lazy=False), COUNTS[name]["size"])
    assert list(complexity.macs) == COUNTS[name]["macs"]
    assert list(complexity.parameters) == COUNTS[name]["parameters"]
    config = CONFIGS[name]
    widths = [config.channels(end, config.scales) for end in config.ends]
    assert widths == COUNTS[name]["channels_of_coarsest"]


@pytest.mark.parametrize("name", ["msdnet_cifar10_7", "msdnet_cifar100_lin5", "msdnet_imagenet_k4"])
def test_a_lazy_network_of_every_kind_has_the_published_costs(name):
    complexity = measure_complexity(blank(name, lazy=True), COUNTS[name]["size"])
    assert list(complexity.macs) == COUNTS[name]["macs_lazy"]


def test_the_variant_for_distillation_has_the_published_costs():
    golden = counts("other")["phuong_lampert_msdnet_cifar100"]
    complexity = measure_complexity(blank("phuong_lampert_msdnet", lazy=False), 32)
    assert list(complexity.macs) == golden["macs"]
    assert list(complexity.parameters) == golden["parameters"]


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"growth": 3, "factors": (1, 3), "bottleneck": (1, 1)}, "growth must be even"),
        ({"bottleneck": (1,)}, "bottleneck must be 4 numbers"),
        ({"step_mode": "odd"}, "step_mode must be even or lin_grow"),
        ({"blocks": 0}, "blocks must be a whole number of at least 1"),
        ({"groth": 8}, "did you mean 'growth'"),
    ],
)
def test_settings_that_do_not_fit_are_named(changes, what):
    with pytest.raises(UsageError, match=re.escape(what)):
        MSDNetConfig().replaced(changes)
