"""Fast gradients of depthwise convolutions: the same numbers, and only where PyTorch is slow."""

from contextlib import AbstractContextManager, nullcontext
from unittest import mock

import pytest
import torch
from torch import nn
from torch.nn import functional

from endoexit.models import create_model
from endoexit.training import depthwise
from endoexit.training.depthwise import FastDepthwise

SHAPES = [
    # side, kernel, stride, padding
    (12, (3, 3), (2, 2), (1, 1)),
    (12, (5, 5), (1, 1), (2, 2)),
    (13, (5, 5), (2, 2), (2, 2)),
    (13, (5, 5), (2, 1), (0, 1)),
    (12, (7, 7), (1, 1), (3, 3)),
    (15, (3, 7), (1, 2), (1, 3)),
    (9, (3, 3), (2, 2), (0, 0)),
]


def gradients(leaves, stride, padding, *, fast, dtype=torch.bfloat16):
    """Return the maps, and the gradients of the leaves: images, kernel and bias."""
    leaves = [each.clone().requires_grad_() for each in leaves]
    with torch.autocast("cpu", dtype, enabled=dtype is torch.bfloat16):
        if fast:
            with FastDepthwise():
                maps = functional.conv2d(*leaves, stride, padding, groups=16)
        else:
            maps = functional.conv2d(*leaves, stride, padding, groups=16)
    weight = torch.linspace(-1, 2, maps.numel()).reshape(maps.shape)
    (maps.float() * weight).sum().backward()
    return maps, *(leaf.grad for leaf in leaves)


@pytest.mark.parametrize(("side", "kernel", "stride", "padding"), SHAPES)
def test_gradients_are_those_of_float64(side, kernel, stride, padding):
    torch.manual_seed(3)
    # Values that bfloat16 holds exactly: what differs is the arithmetic alone.
    images = torch.randn(2, 16, side, side).bfloat16().float()
    weights = torch.randn(16, 1, *kernel).bfloat16().float()
    bias = torch.randn(16).bfloat16().float()
    leaves = [images, weights, bias]
    fast = gradients(leaves, stride, padding, fast=True)
    plain = gradients(leaves, stride, padding, fast=False)
    doubles = [leaf.double() for leaf in leaves]
    exact = gradients(doubles, stride, padding, fast=False, dtype=torch.float64)
    assert fast[0].dtype is torch.bfloat16
    for name, *values in zip(("maps", "images", "kernel", "bias"), fast, plain, exact, strict=True):
        ours, theirs, truth = (value.double() for value in values)
        gap, known = ((value - truth).norm() / truth.norm() for value in (ours, theirs))
        # bfloat16 rounds to 2^-8 = 0.0039. Without its instructions PyTorch rounds every sum, too.
        assert gap < max(0.006, 1.01 * known), f"{name}: {gap:.1e}, PyTorch {known:.1e}"


@pytest.mark.parametrize(
    ("what", "changes"),
    [
        ("a fast shape", {"weight": (8, 1, 3, 3)}),
        ("not depthwise", {"weight": (8, 2, 5, 5), "groups": 4}),
        ("dilated", {"dilation": 2}),
        ("padding by name", {"padding": "same"}),
        ("in float32", {"autocast": False}),
        ("without gradients", {"grad": False}),
        ("a row of pixels", {"weight": (8, 1, 1, 7)}),
    ],
)
def test_everything_else_is_left_to_pytorch(what, changes):
    shape = changes.get("weight", (8, 1, 5, 5))
    images, weight = torch.randn(1, 8, 16, 16), torch.randn(shape)
    options = {"padding": 2, "groups": 8} | {
        key: value for key, value in changes.items() if key in ("dilation", "padding", "groups")
    }
    with (
        mock.patch.object(depthwise._Depthwise, "apply", side_effect=AssertionError(what)),
        torch.autocast("cpu", torch.bfloat16, enabled=changes.get("autocast", True)),
        torch.set_grad_enabled(changes.get("grad", True)),
        FastDepthwise(),
    ):
        functional.conv2d(images, weight, **options)


def test_a_network_learns_the_same_with_them():
    torch.manual_seed(0)
    model = create_model("efficientnet_lite0", 3, size=64, exits="3,5", head="linear").train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    images = torch.randn(8, 3, 64, 64).contiguous(memory_format=torch.channels_last)
    labels = torch.arange(8) % 3
    kernels = []
    real = depthwise._kernel_gradient

    def step(context: AbstractContextManager[object]) -> dict[str, torch.Tensor]:
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16), context:
            answers = model(images)
        sum(functional.cross_entropy(z.float(), labels) for z in answers).backward()
        return {name: p.grad.clone() for name, p in model.named_parameters()}

    def counted(*arguments):
        kernels.append(tuple(arguments[1].shape[2:]))
        return real(*arguments)

    theirs = step(nullcontext())
    with mock.patch.object(depthwise, "_kernel_gradient", counted):
        ours = step(FastDepthwise())
    slow = [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d)
        and module.groups > 1
        and (module.stride != (1, 1) or module.kernel_size == (5, 5))
    ]
    assert len(kernels) == len(slow) > 8
    for name in slow:
        grad = theirs[f"{name}.weight"]
        assert (ours[f"{name}.weight"] - grad).norm() < 0.03 * grad.norm(), name
    gap = sum((ours[name] - grad).pow(2).sum() for name, grad in theirs.items())
    assert gap.sqrt() < 0.05 * sum(grad.pow(2).sum() for grad in theirs.values()).sqrt()


def test_gradients_keep_the_layout_of_the_images():
    """The layers below are several times slower on gradients of another layout."""
    images = torch.randn(2, 8, 12, 12).contiguous(memory_format=torch.channels_last)
    images.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16), FastDepthwise():
        maps = functional.conv2d(images, torch.randn(8, 1, 3, 3), None, 2, 1, groups=8)
    (gradient,) = torch.autograd.grad(maps, images, torch.ones_like(maps))
    assert gradient.is_contiguous(memory_format=torch.channels_last)
