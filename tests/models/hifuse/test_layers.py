"""Forms that inference engines run faster compute the same."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from endoexit.models.hifuse.branches import WindowAttention, shift_map
from endoexit.models.hifuse.layers import ChannelNorm, MapLinear, norm_positions


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


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace:DeprecationWarning")
def test_a_traced_shift_is_a_roll_at_any_batch_size():
    x = torch.randn(2, 6, 5, 3)
    for shift in ((-2, -1), (2, 1), (0, 3)):
        traced = torch.jit.trace(lambda x, s=shift: shift_map(x, *s), (x,))
        assert "roll" not in str(traced.graph)
        for images in (x, torch.randn(4, 6, 5, 3)):
            assert torch.equal(traced(images), torch.roll(images, shift, (1, 2)))


def test_windows_of_different_images_do_not_mix():
    torch.manual_seed(0)
    attention = WindowAttention(8, 2, 3)
    nn.init.normal_(attention.bias_table)
    mask = torch.zeros(4, 9, 9)
    mask[1, :, 5:] = -100.0
    x = torch.randn(3, 4, 9, 8)
    with torch.no_grad():
        together = attention(x, mask)
        for image in range(3):
            assert_close(together[image : image + 1], attention(x[image : image + 1], mask))
            for window in range(4):
                alone = attention(x[image : image + 1, window : window + 1], mask[window][None])
                assert_close(together[image, window], alone[0, 0])
