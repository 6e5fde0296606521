"""Losses and gradients that the published code of each strategy gives."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from endoexit.training.strategies.base import Shown

GOLDEN: dict[str, Any] = json.loads(
    (Path(__file__).parent / "golden" / "strategies.json").read_text()
)


def shown(images: Tensor, target: Tensor | None = None, mean: float = 0, std: float = 1) -> Shown:
    """Return what a network is shown, with one mean and deviation for all channels."""
    channels = torch.ones(1, 3, 1, 1, dtype=images.dtype)
    labels = torch.zeros(len(images), dtype=torch.long) if target is None else target
    return Shown(images, labels, mean * channels, std * channels)


def golden_logits(name: str) -> tuple[list[Tensor], Tensor]:
    """Return the logits of each exit, which take gradients, and the labels."""
    logits = [
        torch.tensor(rows, dtype=torch.float64, requires_grad=True)
        for rows in GOLDEN[name]["logits"]
    ]
    return logits, torch.tensor(GOLDEN[name]["labels"])


def check(
    loss: Tensor, logits: Sequence[Tensor], expected: dict[str, Any], scale: float = 1.0
) -> None:
    """Hold a loss and its gradients, times `scale`, against the golden numbers."""
    torch.testing.assert_close(scale * loss.item(), expected["loss"], rtol=1e-6, atol=0)
    gradients = torch.autograd.grad(loss, logits)
    for got, rows in zip(gradients, expected["gradients"], strict=True):
        wanted = torch.tensor(rows, dtype=torch.float64)
        torch.testing.assert_close(scale * got, wanted, rtol=1e-5, atol=1e-7)
