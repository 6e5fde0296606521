"""Exit heads on every layout of maps."""

import pytest
import torch

from endoexit.errors import UsageError
from endoexit.models.exit_heads import HEADS, AsMap, MixedPool, make_head

SHAPES = {"map": (12, 8, 8), "channels last": (8, 8, 12), "tokens": (64, 12), "column": (65, 12)}


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_every_head_reads_every_layout_and_learns(name, shape):
    head = make_head(name, shape, 5)
    logits = head((torch.randn(3, *shape),))
    assert logits.shape == (3, 5)
    logits.square().sum().backward()
    assert [key for key, p in head.named_parameters() if p.grad is None] == []


def test_layouts_give_the_same_map():
    x = torch.randn(2, 12, 8, 8)
    last = AsMap((8, 8, 12))(x.permute(0, 2, 3, 1))
    tokens = AsMap((64, 12))(x.flatten(2).transpose(1, 2))
    assert last.equal(x)
    assert tokens.equal(x)


def test_a_head_with_attention_says_where_it_looks():
    state = (torch.randn(2, 8, 8, 12),)
    looks = make_head("cbam", (8, 8, 12), 3).attention_map(state)
    assert looks.shape == (2, 8, 8)
    assert 0 < looks.min() <= looks.max() < 1
    assert make_head("conv", (8, 8, 12), 3).attention_map(state) is None


def test_the_mixed_pool_is_a_maximum_or_a_mean_at_its_ends():
    x = torch.randn(1, 2, 4, 4)
    pool = MixedPool(2)
    with torch.no_grad():
        pool.share.fill_(1)
        assert pool(x).equal(torch.nn.functional.max_pool2d(x, 2))
        pool.share.fill_(0)
        assert pool(x).equal(torch.nn.functional.avg_pool2d(x, 2))


def test_settings_are_checked():
    with pytest.raises(UsageError, match="did you mean 'width'"):
        make_head("conv", (8, 4, 4), 3, {"widht": 32})
    with pytest.raises(UsageError, match="did you mean 'conv'"):
        make_head("convv", (8, 4, 4), 3)
    assert make_head("conv", (8, 4, 4), 3, {"width": 32}).inner[0].out_channels == 32
