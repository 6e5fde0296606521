"""Exit heads on every layout of maps."""

import pytest
import torch
from torch import nn

from endoexit.errors import UsageError
from endoexit.models.cut import with_exits
from endoexit.models.exit_heads import HEADS, AsMap, MixedPool, make_head
from endoexit.models.layers import GlobalMean

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


def test_each_exit_may_have_a_head_of_another_kind():
    network = with_exits(trunk(), ["0", "2"], 3, "rdi, linear", size=32,
                         head_settings={"width": 8, "dropout": 0.5})  # fmt: skip
    first, second = (stage.head.inner for stage in network.stages[:-1])
    assert isinstance(first[0], nn.MaxPool2d)
    assert first[1].out_channels == 8
    assert [type(layer) for layer in second] == [GlobalMean, nn.Dropout, nn.Linear]
    assert second[1].p == 0.5
    assert [tuple(out.shape) for out in network(torch.zeros(2, 3, 32, 32))] == [(2, 3)] * 3


@pytest.mark.parametrize(
    ("head", "settings", "message"),
    [
        (
            "rdi,conv,conv",
            {},
            r"3 exit heads .rdi,conv,conv. for 2 early exits: name one",
        ),
        ("rdi,cnv", {}, "unknown exit head 'cnv': did you mean 'conv'"),
        (
            "rdi,conv",
            {"dropuot": 0},
            "setting of the head rdi,conv 'dropuot': did you mean 'dropout'",
        ),
    ],
)
def test_heads_that_do_not_fit_the_exits_are_refused(head, settings, message):
    with pytest.raises(UsageError, match=message):
        with_exits(trunk(), ["0", "2"], 3, head, size=32, head_settings=settings)


def trunk():
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, 2), nn.ReLU(), nn.Conv2d(6, 12, 3, 2), nn.ReLU(), GlobalMean(),
        nn.Linear(12, 3),
    )  # fmt: skip


def test_settings_are_checked():
    with pytest.raises(UsageError, match="did you mean 'width'"):
        make_head("conv", (8, 4, 4), 3, {"widht": 32})
    with pytest.raises(UsageError, match="did you mean 'conv'"):
        make_head("convv", (8, 4, 4), 3)
    assert make_head("conv", (8, 4, 4), 3, {"width": 32}).inner[0].out_channels == 32
