"""RDI-Nets answer and cost what the published code does."""

import pytest
import torch

from endoexit.errors import ModelError
from endoexit.models.cost import measure_complexity
from endoexit.models.published import load_published
from endoexit.models.rdi import RDINet, rdi_configs
from golden_networks import answers, cases, counts, distance, keys, weights

CONFIGS = rdi_configs()


@pytest.mark.parametrize("name", counts("rdi"))
def test_costs(name):
    golden = counts("rdi")[name]
    complexity = measure_complexity(RDINet(CONFIGS[name], 10), 32)
    assert list(complexity.macs) == golden["macs"]
    assert list(complexity.parameters) == golden["parameters"]


@pytest.mark.parametrize(
    ("name", "unused"), [("rdi_resnet38", ()), ("rdi_mobilenetv2", ("conv2.weight",))]
)
def test_logits_agree_with_the_published_code(name, unused):
    golden = answers(name)
    model = RDINet(CONFIGS[name], 10)
    assert load_published(model, weights(keys(name))).left_out == unused
    for case, images in cases(golden):
        assert distance(model, images, golden, case) < 1e-5


@pytest.mark.parametrize("name", ["rdi_resnet38", "rdi_mobilenetv2"])
@pytest.mark.parametrize("side", [32, 50, 224])
def test_every_exit_gives_one_row_an_image_at_any_size(name, side):
    model = RDINet(CONFIGS[name], 4).eval()
    with torch.inference_mode():
        assert [tuple(z.shape) for z in model(torch.zeros(2, 3, side, side))] == [(2, 4)] * 7


def test_weights_of_another_network_are_refused_by_name():
    model = RDINet(CONFIGS["rdi_resnet38"], 10)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ModelError, match=r"(?s)not of this network.*missing in the state dict"):
        load_published(model, weights(keys("b_lenet")))
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())


def test_another_number_of_classes_is_refused():
    with pytest.raises(
        ModelError, match=r"branch_layer1.9.weight: shape \(10, 32\), this network has \(5, 32\)"
    ):
        load_published(RDINet(CONFIGS["rdi_resnet38"], 5), weights(keys("rdi_resnet38")))
