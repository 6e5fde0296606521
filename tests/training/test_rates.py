"""Learning rates: of exits, of the trunk, layer by layer; frozen normalisation."""

import pytest
import torch
from torch import nn

from endoexit.models import create_model
from endoexit.training.rates import frozen_norms, parameter_groups, trunk_layers
from endoexit.training.recipe import OptimizerSettings


@pytest.fixture(scope="module")
def lite():
    with torch.device("meta"):
        return create_model("efficientnet_lite0", 5, size=64, exits="3,5")


def rates(model, **settings: float) -> dict[str, float]:
    """Return the learning rate of each parameter by its name."""
    groups = parameter_groups(model, OptimizerSettings(**settings))
    by_id = {id(p): group["lr"] for group in groups for p in group["params"]}
    return {name: by_id[id(p)] for name, p in model.named_parameters()}


def test_exits_and_the_last_layer_learn_at_the_peak_rate(lite):
    by_name = rates(lite, lr=2e-3, trunk_lr=5e-4)
    fast = {name for name, rate in by_name.items() if rate == 2e-3}
    assert {rate for name, rate in by_name.items() if name not in fast} == {5e-4}
    heads = {name for name in by_name if ".0.head." in name or ".1.head." in name}
    assert fast - heads == {
        "stages.2.head.module.network_classifier.weight",
        "stages.2.head.module.network_classifier.bias",
    }
    assert heads <= fast


def test_the_rate_falls_by_its_factor_from_layer_to_layer(lite):
    by_name = rates(lite, lr=1.0, layer_decay=0.9)
    kernels = [layer for layer in trunk_layers(lite) if isinstance(layer, nn.Conv2d)]
    names = {id(p): name for name, p in lite.named_parameters()}
    steps = [by_name[names[id(layer.weight)]] for layer in kernels]
    assert steps == pytest.approx([0.9 ** (len(kernels) - 1 - i) for i in range(len(kernels))])
    assert by_name[names[id(lite.stages[0].trunk[0].module.network_bn1.weight)]] == steps[0]


def test_every_parameter_is_in_one_group(lite):
    groups = parameter_groups(lite, OptimizerSettings(trunk_lr=1e-4, layer_decay=0.8))
    ids = [id(p) for group in groups for p in group["params"]]
    assert sorted(ids) == sorted(id(p) for p in lite.parameters())
    assert groups[0]["lr"] == OptimizerSettings().lr  # what metrics.csv calls the learning rate


def test_norms_of_exits_are_not_frozen(lite):
    inside = {id(layer) for layer in frozen_norms(lite)}
    others = [name for name, layer in lite.named_modules()
              if isinstance(layer, nn.BatchNorm2d) and id(layer) not in inside]  # fmt: skip
    assert len(inside) == 49
    assert {name.split(".inner")[0] for name in others} == {"stages.0.head", "stages.1.head"}
