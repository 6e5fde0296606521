"""Fast convolutions: the same numbers, and only where PyTorch is slow."""

from contextlib import AbstractContextManager, nullcontext
from unittest import mock

import pytest
import torch
from torch import nn
from torch.nn import functional

from endoexit.models import create_model
from endoexit.training import convolutions
from endoexit.training.convolutions import FastConvolutions

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


def gradients(leaves, stride, padding, *, fast, groups=16, dtype=torch.bfloat16):
    """Return the maps, and the gradients of the leaves: images, kernel and bias."""
    leaves = [each.clone().requires_grad_() for each in leaves]
    with torch.autocast("cpu", dtype, enabled=dtype is torch.bfloat16):
        if fast:
            with FastConvolutions():
                maps = functional.conv2d(*leaves, stride, padding, groups=groups)
        else:
            maps = functional.conv2d(*leaves, stride, padding, groups=groups)
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
    assert_as_exact_as_pytorch([images, weights, bias], stride, padding, groups=16)


def assert_as_exact_as_pytorch(leaves, stride, padding, *, groups):
    fast = gradients(leaves, stride, padding, fast=True, groups=groups)
    plain = gradients(leaves, stride, padding, fast=False, groups=groups)
    doubles = [leaf.double() for leaf in leaves]
    exact = gradients(doubles, stride, padding, fast=False, groups=groups, dtype=torch.float64)
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
        ("1×1 with a stride", {"weight": (8, 8, 1, 1), "groups": 1, "padding": 0, "stride": 2}),
        ("1×1 with padding", {"weight": (8, 8, 1, 1), "groups": 1, "padding": 1}),
        ("1×1 in groups", {"weight": (8, 2, 1, 1), "groups": 4, "padding": 0}),
        ("1×1 of rows", {"weight": (8, 8, 1, 1), "groups": 1, "padding": 0, "rows": True}),
    ],
)
def test_everything_else_is_left_to_pytorch(what, changes):
    shape = changes.get("weight", (8, 1, 5, 5))
    images, weight = torch.randn(2, 8, 16, 16), torch.randn(shape)
    if not changes.get("rows"):
        images = images.contiguous(memory_format=torch.channels_last)
    known = ("dilation", "padding", "groups", "stride")
    options = {"padding": 2, "groups": 8} | {key: changes[key] for key in known if key in changes}
    with (
        mock.patch.object(convolutions._Depthwise, "apply", side_effect=AssertionError(what)),
        mock.patch.object(functional, "linear", side_effect=AssertionError(what)),
        torch.autocast("cpu", torch.bfloat16, enabled=changes.get("autocast", True)),
        torch.set_grad_enabled(changes.get("grad", True)),
        FastConvolutions(),
    ):
        functional.conv2d(images, weight, **options)


def test_a_network_learns_the_same_with_them():
    """Gradients are as near to those of float64 as PyTorch's in bfloat16 are."""
    torch.manual_seed(0)
    # With statistics of the batch, rounding alone would change the gradients of such a network.
    model = create_model("efficientnet_lite0", 3, size=64, exits="3,5", head="linear").eval()
    images = torch.randn(8, 3, 64, 64).contiguous(memory_format=torch.channels_last)
    labels = torch.arange(8) % 3
    kernels = []
    real = convolutions._kernel_gradient

    def step(
        context: AbstractContextManager[object], dtype: torch.dtype = torch.bfloat16
    ) -> dict[str, torch.Tensor]:
        model.zero_grad()
        with torch.autocast("cpu", dtype, enabled=dtype is torch.bfloat16), context:
            answers = model(images if dtype is torch.bfloat16 else images.to(dtype))
        sum(functional.cross_entropy(z.double(), labels) for z in answers).backward()
        return {name: p.grad.double() for name, p in model.named_parameters()}

    def counted(*arguments):
        kernels.append(tuple(arguments[1].shape[2:]))
        return real(*arguments)

    theirs = step(nullcontext())
    with mock.patch.object(convolutions, "_kernel_gradient", counted):
        ours = step(FastConvolutions())
    slow = [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d)
        and module.groups > 1
        and (module.stride != (1, 1) or module.kernel_size == (5, 5))
    ]
    assert len(kernels) == len(slow) > 8
    model.double()
    exact = step(nullcontext(), torch.float64)
    gaps, known = (
        {name: (each[name] - truth).norm() for name, truth in exact.items()}
        for each in (ours, theirs)
    )
    for name, gap in gaps.items():
        assert gap < 1.3 * known[name] + 1e-4 * exact[name].norm(), name
    size = torch.stack([each.norm() for each in exact.values()]).norm()
    overall, of_pytorch = (torch.stack(list(each.values())).norm() for each in (gaps, known))
    assert overall < min(1.05 * of_pytorch, 0.3 * size)


@pytest.mark.parametrize(("kernel", "how"), [((8, 1, 3, 3), (2, 1, 1, 8)), ((8, 8, 1, 1), ())])
def test_gradients_keep_the_layout_of_the_images(kernel, how):
    """The layers below are several times slower on gradients of another layout."""
    images = torch.randn(2, 8, 12, 12).contiguous(memory_format=torch.channels_last)
    images.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16), FastConvolutions():
        maps = functional.conv2d(images, torch.randn(kernel), None, *how)
    assert maps.is_contiguous(memory_format=torch.channels_last)
    (gradient,) = torch.autograd.grad(maps, images, torch.ones_like(maps))
    assert gradient.is_contiguous(memory_format=torch.channels_last)
