"""Windows of the global branch: shifted, and apart from each other."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from endoexit.models.hifuse.branches import WindowAttention, shift_map


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
