"""Where a network looks, held against what it computes."""

import numpy as np
import pytest
import torch
from torch import nn

from endoexit.models import create_model
from endoexit.models.attention import exit_attention, grad_cam
from endoexit.models.heads import FinalClassifier
from endoexit.reporting.cards import KINDS
from tiny import SIDE, tiny_model


@pytest.fixture
def images():
    return torch.rand(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_the_product_of_the_gates_is_what_weights_each_position(images):
    """Channel gates scale a whole channel: between two positions only the product remains."""
    model = tiny_model()
    looks = exit_attention(model, images)
    assert [kind for _, kind in looks] == ["cbam", "cbam", "cbam", "grad-cam"]
    with torch.no_grad():
        state, _ = model.stage(1, (images,))
        fused, weighted = state[-1], model.stages[0].head.attention(state[-1])
    ratio = (weighted / fused).numpy()[:, 0]
    expected = looks[0][0]
    assert ratio[:, 2, 3] / ratio[:, 0, 0] == pytest.approx(
        expected[:, 2, 3] / expected[:, 0, 0], rel=1e-3
    )
    assert ((expected > 0) & (expected <= 1)).all()


def test_a_network_without_exits_gets_grad_cam(images):
    ((maps, kind),) = exit_attention(tiny_model("hifuse_nano"), images)
    assert kind == "grad-cam"
    assert maps.shape == (3, SIDE // 32, SIDE // 32)
    assert (maps >= 0).all()


def test_attention_of_another_head_is_not_called_cbam(images):
    class Own(nn.Module):
        def forward(self, state):
            return state[-1].mean((2, 3))

        def attention_map(self, state):
            return state[-1].mean(1)

    model = tiny_model()
    model.stages[1].head = Own()
    assert [kind for _, kind in exit_attention(model, images)] == [
        "cbam", "attention", "cbam", "grad-cam"
    ]  # fmt: skip
    assert set(KINDS) == {"cbam", "attention", "grad-cam"}


@pytest.mark.parametrize("head", ["conv", "cbam"])
def test_heads_of_the_catalog_say_what_they_have(images, head):
    torch.manual_seed(0)
    model = create_model("efficientnet_lite0", 3, size=SIDE, exits="3,5", head=head).eval()
    kinds = [kind for _, kind in exit_attention(model, images)]
    assert kinds == [*(["cbam"] * 2 if head == "cbam" else ["grad-cam"] * 2), "grad-cam"]


@pytest.mark.parametrize("first", [0, 1])
def test_tokens_are_a_map_without_those_of_the_class(first):
    """The evidence is in one place of the grid; tokens before the grid are none of it."""
    tokens = torch.zeros(2, first + 9, 4)
    tokens[:, first + 5] = 1.0  # row 1, column 2 of 3×3

    def head(state):
        return torch.stack([state[0].sum((1, 2)), -state[0].sum((1, 2))], 1)

    maps = grad_cam(head, (tokens,))
    assert maps.shape == (2, 3, 3)
    assert maps[0].argmax() == 5
    assert (maps > 0).sum() == 2


def test_a_map_with_the_channels_last_is_turned():
    features = torch.zeros(1, 3, 3, 8)
    features[0, 0, 1] = 1.0
    maps = grad_cam(lambda state: state[0].sum((1, 2)), (features,))
    assert maps.shape == (1, 3, 3)
    assert maps[0].argmax() == 1


def test_grad_cam_is_its_formula():
    """Weights by central differences of the largest logit."""
    torch.manual_seed(0)
    head = FinalClassifier(6, 3).double().eval()
    fused = torch.randn(1, 6, 4, 5, dtype=torch.float64)
    with torch.no_grad():
        answer = int(head((fused,)).argmax())
        gradient = torch.zeros_like(fused)
        for index in np.ndindex(*fused.shape):
            step = torch.zeros_like(fused)
            step[index] = 1e-5
            up, down = (head((fused + sign * step,))[0, answer] for sign in (1, -1))
            gradient[index] = (up - down) / 2e-5
    expected = (gradient.mean(dim=(2, 3), keepdim=True) * fused).sum(dim=1).relu()
    assert torch.allclose(grad_cam(head, (fused,)), expected, atol=1e-7)


def test_images_of_a_batch_do_not_mix(images):
    model = tiny_model()
    together = exit_attention(model, images)
    alone = exit_attention(model, images[1:2])
    for (several, _), (single, _) in zip(together, alone, strict=True):
        assert several[1] == pytest.approx(single[0], abs=1e-5)


def test_nothing_is_left_behind_in_the_network(images):
    model = tiny_model()
    before = [logits.clone() for logits in model(images)]
    exit_attention(model, images)
    assert all(p.grad is None for p in model.parameters())
    assert all(a.equal(b) for a, b in zip(before, model(images), strict=True))
