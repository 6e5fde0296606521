"""Features of images at an exit: what a backend's state says of the map that the exit reads."""

from typing import Any

import numpy as np
import numpy.typing as npt


def pooled(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return means and deviations over the positions of maps or tokens.

    Args:
        values: Maps (B, C, H, W) or, with the channels last, (B, S, S, C); tokens (B, T, C);
            vectors (B, C).

    Returns:
        Features (B, 2 C) of maps and tokens; vectors as they are.
    """
    if values.ndim == 4:
        last = values.shape[1] == values.shape[2] != values.shape[3]
        values = (np.moveaxis(values, 3, 1) if last else values).reshape(
            len(values), values.shape[3 if last else 1], -1
        )
    elif values.ndim == 3:
        values = np.moveaxis(values, 2, 1)
    else:
        return values.astype(np.float32)
    # Each row in one piece of memory, so that its sums do not depend on the batch or the layout.
    rows = np.ascontiguousarray(values, dtype=np.float64)
    moments = [rows.mean(axis=2), rows.std(axis=2)]
    return np.concatenate(moments, axis=1).astype(np.float32)


def from_bits(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return numbers of an array that holds the 16 bits of bf16, others as they are."""
    if values.dtype != np.uint16:
        return values
    return (values.astype(np.uint32) << 16).view(np.float32)
