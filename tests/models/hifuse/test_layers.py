"""Forms that inference engines run faster compute the same."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from endoexit.models.hifuse.layers import ChannelNorm, DropPath, MapLinear, join, norm_positions


def test_a_map_is_normalised_over_its_channels():
    torch.manual_seed(0)
    layer = ChannelNorm(6)
    nn.init.normal_(layer.weight)
    nn.init.normal_(layer.bias)
    x = 3 + torch.randn(2, 6, 4, 5)
    mean, variance = x.mean(1, keepdim=True), x.var(1, keepdim=True, unbiased=False)
    expected = (x - mean) / (variance + 1e-6).sqrt()
    expected = expected * layer.weight[:, None, None] + layer.bias[:, None, None]
    assert_close(layer(x), expected)
    assert_close(layer(x.contiguous(memory_format=torch.channels_last)), expected)
    norm = nn.LayerNorm(6)
    norm.load_state_dict(layer.state_dict())
    assert_close(norm_positions(norm, x.permute(0, 2, 3, 1)), norm(x.permute(0, 2, 3, 1)))


def test_a_linear_layer_over_a_map():
    torch.manual_seed(0)
    layer = MapLinear(6, 7)
    x = torch.randn(2, 6, 4, 5)
    expected = nn.functional.linear(x.permute(0, 2, 3, 1), layer.weight, layer.bias)
    assert_close(layer(x).permute(0, 2, 3, 1), expected)
    assert_close(layer.as_convolution()(x).permute(0, 2, 3, 1), expected)


def test_dropped_paths_keep_the_expectation():
    torch.manual_seed(0)
    drop = DropPath(0.25).train()
    x = torch.ones(20000, 1, 1, 1)
    y = drop(x)
    assert y.unique().tolist() == pytest.approx([0.0, 1 / 0.75])
    assert y.mean().item() == pytest.approx(1.0, abs=0.02)
    assert torch.equal(drop.eval()(x), x)


def test_join_hands_back_the_gradients_of_a_concatenation():
    maps = [torch.randn(2, c, 3, 3, dtype=torch.double, requires_grad=True) for c in (1, 2, 3)]
    assert torch.equal(join(*maps), torch.cat(maps, 1))
    assert torch.autograd.gradcheck(join, tuple(maps))
