"""The operators of torchvision, declared without code, so that timm can be imported.

A torchvision of another build cannot load its own operators beside the CPU build of torch. timm
imports it, and so does torchmetrics where it is installed. None of the networks tested here runs an
operator of it. Importing this file, before both, is enough.
"""

import torch

_OPERATORS = (
    "nms", "qnms", "roi_align", "_roi_align_backward", "qroi_align", "ps_roi_align",
    "_ps_roi_align_backward", "roi_pool", "_roi_pool_backward", "ps_roi_pool",
    "_ps_roi_pool_backward", "deform_conv2d", "_deform_conv2d_backward",
)  # fmt: skip
_library = torch.library.Library("torchvision", "FRAGMENT")
for _name in _OPERATORS:
    if not hasattr(torch.ops.torchvision, _name):
        _library.define(f"{_name}() -> ()")
