"""Gradients of depthwise convolutions in bfloat16, where PyTorch computes them slowly on CPUs.

PyTorch 2.13 has no fast code for two of them: the gradient of the images where the stride is not 1,
and the gradient of kernels larger than 3×3. Both are computed here from what is fast: the first in
float32, the second from windows of 3×3 entries of the kernel.
`benchmarks/depthwise_gradients.py` measures the difference.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.nn.modules.utils import _pair
from torch.overrides import TorchFunctionMode

_SIDE = 3  # of the largest kernel whose gradient is fast

Pair = tuple[int, int]


class FastDepthwise(TorchFunctionMode):
    """Context in which slow depthwise convolutions take the gradients of this module.

    Everything else is left as it is: other devices, precisions and convolutions.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call the function; a slow convolution gets its gradients from here."""
        del types
        known = kwargs or {}
        return _convolve(*args, **known) if func is functional.conv2d else func(*args, **known)


def _convolve(  # noqa: PLR0917 - the arguments of PyTorch's own function
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Pair = 1,
    padding: int | Pair | str = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
) -> Tensor:
    """Convolve as `torch.nn.functional.conv2d` does, with fast gradients."""
    strides = _pair(stride)
    if (
        not isinstance(padding, str)
        and _pair(dilation) == (1, 1)
        and weight.shape[:2] == (groups, 1)
        and (strides != (1, 1) or max(weight.shape[2:]) > _SIDE)
        and min(weight.shape[2:]) >= _SIDE
        and _computes_in_bfloat16(input)
    ):
        # Casts are part of the graph, as under autocast: gradients come back in float32.
        images, kernel = input.to(torch.bfloat16), weight.to(torch.bfloat16)
        maps: Tensor = _Depthwise.apply(  # type: ignore[no-untyped-call]
            images, kernel, strides, _pair(padding)
        )
        return maps if bias is None else maps + bias.to(torch.bfloat16)[:, None, None]
    return functional.conv2d(input, weight, bias, stride, padding, dilation, groups)


def _computes_in_bfloat16(images: Tensor) -> bool:
    if images.device.type != "cpu" or images.ndim != 4 or not torch.is_grad_enabled():
        return False
    if torch.is_autocast_enabled("cpu"):
        return torch.get_autocast_dtype("cpu") is torch.bfloat16
    return images.dtype is torch.bfloat16


class _Depthwise(torch.autograd.Function):
    """Depthwise convolution; images (B, C, H, W), kernel (C, 1, h, w)."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, kernel: Tensor, stride: Pair, padding: Pair) -> Tensor:
        ctx.save_for_backward(images, kernel)
        ctx.stride, ctx.padding = stride, padding
        return functional.conv2d(images, kernel, None, stride, padding, groups=len(kernel))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        images, kernel = ctx.saved_tensors
        of_images, of_kernel = ctx.needs_input_grad[:2]
        how = (ctx.stride, ctx.padding)
        return (
            _images_gradient(images, kernel, grad, *how) if of_images else None,
            _kernel_gradient(images, kernel, grad, *how) if of_kernel else None,
            None,
            None,
        )


def _images_gradient(
    images: Tensor, kernel: Tensor, grad: Tensor, stride: Pair, padding: Pair
) -> Tensor:
    if stride == (1, 1):
        return _gradient(images, kernel, grad, stride, padding)
    # The values of the images do not matter here, but their layout becomes that of the result.
    shaped = torch.empty_like(images, dtype=torch.float32)
    result = _gradient(shaped, kernel.float(), grad.float(), stride, padding)
    return result.to(images.dtype)


def _kernel_gradient(
    images: Tensor, kernel: Tensor, grad: Tensor, stride: Pair, padding: Pair
) -> Tensor:
    """Return the gradient of the kernel, put together from windows of 3×3 of its entries."""
    size = tuple(kernel.shape[2:])
    if max(size) <= _SIDE:
        return _gradient(images, kernel, grad, stride, padding, of_kernel=True)
    padded = functional.pad(images, (padding[1], padding[1], padding[0], padding[0]))
    rows, columns = ((n - 1) * s + _SIDE for n, s in zip(grad.shape[2:], stride, strict=True))
    result = torch.empty_like(kernel)
    small = kernel[:, :, :_SIDE, :_SIDE]  # whose values do not matter
    for top in _starts(size[0]):
        for left in _starts(size[1]):
            seen = padded[:, :, top : top + rows, left : left + columns]
            seen = seen.contiguous(memory_format=torch.channels_last)
            part = _gradient(seen, small, grad, stride, (0, 0), of_kernel=True)
            result[:, :, top : top + _SIDE, left : left + _SIDE] = part
    return result


def _gradient(
    images: Tensor,
    kernel: Tensor,
    grad: Tensor,
    stride: Pair,
    padding: Pair,
    *,
    of_kernel: bool = False,
) -> Tensor:
    """Return PyTorch's gradient of the images, or of the kernel."""
    wanted = (not of_kernel, of_kernel, False)
    result: Tensor = torch.ops.aten.convolution_backward(
        grad, images, kernel, None, stride, padding, (1, 1), False, (0, 0), len(kernel), wanted
    )[int(of_kernel)]
    return result


def _starts(side: int) -> list[int]:
    """Return where windows begin so that they cover `side` entries; the last two may overlap."""
    return [*range(0, side - _SIDE, _SIDE), side - _SIDE]
