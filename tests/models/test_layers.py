"""Layers that families share, against the operations that they stand for."""

import pytest
import torch
from torch.nn import functional
from torch.testing import assert_close

from endoexit.models.layers import GlobalMean, LastMap, OneMap, conv_norm_relu


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize(("stride", "side"), [(1, 7), (2, 4)])
def test_a_convolution_keeps_the_sides_or_halves_them_rounded_up(kernel, stride, side):
    layer = conv_norm_relu(3, 4, kernel, stride).eval()
    x = torch.randn(2, 3, 7, 7)
    with torch.inference_mode():
        y = layer(x)
        plain = functional.conv2d(x, layer[0].weight, None, stride, kernel // 2)
    assert y.shape == (2, 4, side, side)
    assert_close(y, (plain / (1 + 1e-5) ** 0.5).relu())  # fresh statistics: mean 0, variance 1
    assert layer[0].bias is None


def test_the_mean_is_over_positions():
    x = torch.randn(2, 3, 4, 5)
    assert_close(GlobalMean()(x), x.mean((2, 3)))


def test_the_last_tensor_of_a_state_is_read():
    state = (torch.zeros(2, 3), torch.ones(2, 3))
    assert torch.equal(LastMap(torch.nn.Identity())(state), state[-1])
    assert len(OneMap(torch.nn.Identity())(state)) == 1
