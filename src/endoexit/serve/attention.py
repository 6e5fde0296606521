"""What each exit looked at, on request, by the network in PyTorch, one image at a time."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from endoexit.artifacts.bundle import open_source
from endoexit.artifacts.source import Source
from endoexit.errors import RunError
from endoexit.serve.model import Model
from endoexit.serve.problems import Problem

LONGEST = 28  # side of a map that is sent


class Attention:
    """Shows where the exits of a network look.

    Args:
        source: Run, or bundle in PyTorch.

    Raises:
        RunError: It has no weights.
    """

    def __init__(self, source: Source) -> None:
        self._network = source.load_model()
        self._preprocessing = source.config.preprocessing
        self._turn = asyncio.Lock()

    async def maps(self, square: npt.NDArray[np.uint8]) -> list[dict[str, Any]]:
        """Return a map for each exit: rows of whole numbers from 0 to 100, and its kind.

        Args:
            square: Image, uint8 (S, S, 3).

        Raises:
            Problem: Another image is being looked at.
        """
        if self._turn.locked():
            raise Problem("full", retry_after=1)
        async with self._turn:
            return await asyncio.to_thread(self._maps, square)

    def _maps(self, square: npt.NDArray[np.uint8]) -> list[dict[str, Any]]:
        import torch  # noqa: PLC0415  slow to import, and not needed without attention

        from endoexit.models.attention import exit_attention  # noqa: PLC0415

        images = torch.from_numpy(self._preprocessing.normalise(square[None]))
        return [
            {"exit": number, "kind": kind, "map": _levels(maps[0])}
            for number, (maps, kind) in enumerate(exit_attention(self._network, images), start=1)
        ]


def open_attention(path: Path, model: Model) -> Attention:
    """Open a run, or a bundle in PyTorch, with the weights of a model.

    Raises:
        RunError: It has other weights.
    """
    source = open_source(path)
    served = model.session.source
    if source.weights_sha256 not in {served.weights_sha256, served.run_weights_sha256}:
        raise RunError(
            f"{path} has other weights than {served.path}: name the run that it was exported from "
            "with --attention."
        )
    return Attention(source)


def _levels(values: npt.NDArray[np.float32]) -> list[list[int]]:
    step = max(1, -(-max(values.shape) // LONGEST))
    height, width = (side // step * step for side in values.shape)
    blocks = values[:height, :width].reshape(height // step, step, width // step, step)
    means = blocks.mean(axis=(1, 3))
    low, high = float(means.min()), float(means.max())
    span = high - low if high > low else 1.0
    levels: list[list[int]] = np.rint(100 * (means - low) / span).astype(int).tolist()
    return levels
