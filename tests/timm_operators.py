"""The operators of torchvision, declared without code, so that timm can be imported.

The torchvision that fits the CPU build of torch cannot load its own operators where it was built
for another one. timm imports it, and none of the networks tested here runs an operator of it.
"""

import torch

_OPERATORS = (
    "nms", "qnms", "roi_align", "_roi_align_backward", "qroi_align", "ps_roi_align",
    "_ps_roi_align_backward", "roi_pool", "_roi_pool_backward", "ps_roi_pool",
    "_ps_roi_pool_backward", "deform_conv2d", "_deform_conv2d_backward",
)  # fmt: skip
_library = torch.library.Library("torchvision", "FRAGMENT")


def declare() -> None:
    """Declare what is missing; once is enough."""
    for name in _OPERATORS:
        if not hasattr(torch.ops.torchvision, name):
            _library.define(f"{name}() -> ()")
