"""The network of a run or a bundle, asked where it looks."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from endoexit.images.preprocessing import Preprocessing
from endoexit.models.attention import exit_attention
from endoexit.models.staged import StagedClassifier
from endoexit.reporting.material import ExitAttention

BATCH_SIZE = 8


class NetworkAttention:
    """What the exits of a network in PyTorch look at; its weights are loaded when first asked.

    Args:
        load_model: Function that returns the network, in evaluation mode.
        preprocessing: Way from an image to the network's input.
    """

    def __init__(
        self, load_model: Callable[[], StagedClassifier], preprocessing: Preprocessing
    ) -> None:
        self._load_model, self._preprocessing = load_model, preprocessing

    @cached_property
    def model(self) -> StagedClassifier:
        """The network, in evaluation mode."""
        return self._load_model()

    def __call__(self, images: NDArray[np.uint8]) -> list[ExitAttention]:
        """Return what each exit looks at, for images uint8 (B, S, S, 3)."""
        looks = [exit_attention(self.model, batch) for batch in self._batches(images)]
        exits = []
        for parts in zip(*looks, strict=True):
            kind: Any = parts[0][1]
            exits.append(ExitAttention(np.concatenate([maps for maps, _ in parts]), kind))
        return exits

    def _batches(self, images: NDArray[np.uint8]) -> list[Tensor]:
        return [
            torch.from_numpy(self._preprocessing.normalise(images[start : start + BATCH_SIZE]))
            for start in range(0, len(images), BATCH_SIZE)
        ]
