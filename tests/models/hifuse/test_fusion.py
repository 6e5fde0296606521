"""The fusion block of HiFuse, its parts computed again by hand."""

import torch
from torch.nn import functional
from torch.testing import assert_close

from endoexit.models.hifuse.fusion import ChannelGate, InvertedResidualMLP


def test_channel_attention_is_a_sum_over_maximum_and_mean():
    torch.manual_seed(0)
    gate, x = ChannelGate(8, reduction=4), torch.randn(2, 8, 5, 3)

    def score(pooled):
        hidden = (pooled @ gate.squeeze.weight[:, :, 0, 0].T).relu()
        return hidden @ gate.excite.weight[:, :, 0, 0].T

    scores = score(x.amax((2, 3))) + score(x.mean((2, 3)))
    assert gate.squeeze.out_channels == 2
    assert_close(gate(x), x * scores.sigmoid()[:, :, None, None])


def test_the_residual_mlp_expands_by_four_and_may_mix_channel_by_channel():
    torch.manual_seed(0)
    dense = InvertedResidualMLP(6, 2, depthwise=False).eval()
    assert dense.mix.weight.shape == (6, 6, 3, 3)
    assert InvertedResidualMLP(6, 2, depthwise=True).mix.weight.shape == (6, 1, 3, 3)
    x = torch.randn(2, 6, 4, 4)
    mixed = functional.gelu(functional.conv2d(x, dense.mix.weight, padding=1)) + x
    normal = mixed / (1 + dense.norm.eps) ** 0.5
    hidden = functional.gelu(torch.einsum("oi,bihw->bohw", dense.expand.weight[:, :, 0, 0], normal))
    out = torch.einsum("oi,bihw->bohw", dense.project.weight[:, :, 0, 0], hidden)
    with torch.inference_mode():
        assert hidden.shape[1] == 24
        assert_close(dense(x), out / (1 + dense.project_norm.eps) ** 0.5, rtol=1e-4, atol=1e-5)
