"""Means and largest values: PyTorch's numbers and gradients, in the layout of the maps."""

import pytest
import torch

from endoexit.models.pools import mean_of_positions, over_channels, over_positions

ROWS, LAST = torch.contiguous_format, torch.channels_last
POOLS = {
    "mean": (mean_of_positions, lambda x: x.mean((2, 3))),
    "positions": (
        over_positions,
        lambda x: (x.amax((2, 3), keepdim=True), x.mean((2, 3), keepdim=True)),
    ),
    "channels": (over_channels, lambda x: (x.amax(1, keepdim=True), x.mean(1, keepdim=True))),
}


def values_and_gradient(pool, maps):
    """Return what a pool makes of maps, and the gradient of a weighted sum of it."""
    maps = maps.detach().requires_grad_()
    pooled = pool(maps)
    pooled = pooled if isinstance(pooled, tuple) else (pooled,)
    weights = [torch.linspace(-1, 2, each.numel()).view(each.shape) for each in pooled]
    total = sum((each * weight).sum() for each, weight in zip(pooled, weights, strict=True))
    return pooled, torch.autograd.grad(total, maps)[0]


def maps_with_equal_values(layout, dtype):
    """Return maps of few different values, so that largest ones are found several times."""
    generator = torch.Generator().manual_seed(5)
    maps = torch.randint(0, 4, (3, 6, 5, 4), generator=generator).to(dtype)
    return maps.contiguous(memory_format=layout)


@pytest.mark.parametrize("name", POOLS)
@pytest.mark.parametrize("layout", [ROWS, LAST])
@pytest.mark.parametrize(
    ("dtype", "gap"), [(torch.float64, 1e-14), (torch.float32, 1e-6), (torch.bfloat16, 0.02)]
)
def test_numbers_and_gradients_are_pytorchs(name, layout, dtype, gap):
    ours, theirs = POOLS[name]
    maps = maps_with_equal_values(layout, dtype)
    values, gradient = values_and_gradient(ours, maps)
    expected, slope = values_and_gradient(theirs, maps)
    assert all(each.dtype is dtype for each in (*values, gradient))
    for each, other in zip(values, expected, strict=True):
        assert torch.equal(each, other)
    torch.testing.assert_close(gradient, slope, rtol=gap, atol=gap)
    with torch.no_grad():
        without = ours(maps)
    for each, other in zip(values, without if len(values) > 1 else (without,), strict=True):
        assert torch.equal(each, other)


@pytest.mark.parametrize("name", POOLS)
@pytest.mark.parametrize("layout", [ROWS, LAST])
def test_gradients_have_the_layout_of_the_maps(name, layout):
    maps = maps_with_equal_values(layout, torch.float32)
    _, gradient = values_and_gradient(POOLS[name][0], maps)
    assert gradient.is_contiguous(memory_format=layout)


@pytest.mark.parametrize("name", POOLS)
def test_gradients_have_gradients(name):
    ours, _ = POOLS[name]
    maps = torch.randn(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(ours, maps)
    assert torch.autograd.gradgradcheck(ours, maps)
