"""EfficientNet-Lite is the network whose weights are published."""

import pytest
import torch

import timm_operators  # noqa: F401  (before what imports torchvision)
from endoexit.models.cost import measure_complexity
from endoexit.models.cut import with_exits
from endoexit.models.efficientnet_lite import SCALINGS, EfficientNetLite

# Parameters as published (Google's table of EfficientNet-Lite, 1000 classes), in millions.
PARAMETERS = {0: 4.65, 1: 5.42, 2: 6.09}


@pytest.mark.parametrize("variant", SCALINGS)
def test_the_number_of_parameters_is_the_published_one(variant):
    with torch.device("meta"):
        network = EfficientNetLite(variant, 1000)
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 2) == PARAMETERS[variant]


def test_costs_with_three_exits():
    with torch.device("meta"):
        network = with_exits(
            EfficientNetLite(0, 5), ["blocks.2", "blocks.4", "blocks.5"], 5, "conv", size=128
        )
    macs = measure_complexity(network, 128).macs
    assert [round(count / 1e9, 3) for count in macs] == [0.040, 0.084, 0.114, 0.131]


@pytest.mark.parametrize("side", [96, 128, 161])
def test_padding_puts_the_odd_pixel_last_as_tensorflow_does(side):
    """A convolution of stride 2 that picks its centre reads every second pixel from the first."""
    from endoexit.models.efficientnet_lite import SameConv

    layer = SameConv(1, 1, 3, 2, 1, bias=False)
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[0, 0, 0, 0] = 1
    image = torch.arange(float(side * side)).reshape(1, 1, side, side)
    picked = layer(image)
    assert picked.shape[2:] == ((side + 1) // 2, (side + 1) // 2)
    if side % 2 == 0:  # one pixel of padding, at the end: the first column is read first
        assert picked.equal(image[:, :, ::2, ::2])


@pytest.mark.parametrize("variant", SCALINGS)
def test_it_answers_as_timm_does(variant):
    timm = pytest.importorskip("timm", exc_type=ImportError)
    theirs = timm.create_model(f"tf_efficientnet_lite{variant}", num_classes=7).eval()
    ours = EfficientNetLite(variant, 7).eval()
    ours.load_state_dict(theirs.state_dict())
    images = torch.randn(2, 3, 129, 129)
    with torch.inference_mode():
        assert ours(images).equal(theirs(images))
