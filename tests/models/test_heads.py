"""Exit heads: their settings, and the attention that they multiply with."""

import torch

from tiny_hifuse import tiny


def test_head_settings_change_the_heads():
    single_block = tiny(exit_blocks=1, exit_reduction=4)
    assert len(single_block.stages[0].head.attention) == 1
    assert single_block.stages[0].head.attention[0].squeeze.out_features == 4
    assert len(tiny().stages[0].head.attention) == 3


def test_spatial_attention_is_what_the_heads_multiply_with():
    model = tiny().eval()
    images = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        state, _ = model.stage(1, (images,))
        head = model.stages[0].head
        maps = head.gates(state)
        first = head.attention[0]
        x = state[-1]
        by_hand = first(x) / first.channels(x)
    assert len(maps) == 3
    assert maps[0].shape == (1, 1, 16, 16)
    assert torch.allclose(by_hand.mean(1, keepdim=True), maps[0], atol=1e-4)
    whole = maps[0] * maps[1] * maps[2]
    with torch.inference_mode():
        assert torch.allclose(head.attention_map(state), whole[:, 0])
