"""Batches of cached images: no file is decoded while a network trains."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from endoexit.images.cache import CachedImages

Batch = tuple[Tensor, ...]
"""Images, labels, and the same images for a teacher where there is one."""


class CachedDataset(Dataset[Batch]):
    """Cached images and their labels.

    Args:
        cached: Images uint8 (N, S, S, 3).
        labels: Class indices (N,).
        for_teacher: The same images at the size of a teacher; None without one.
    """

    def __init__(
        self, cached: CachedImages, labels: np.ndarray, for_teacher: CachedImages | None = None
    ) -> None:
        self._images = cached.images
        self._labels = torch.from_numpy(labels)
        self._for_teacher = None if for_teacher is None else for_teacher.images

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Return one batch at once: uint8 images (B, 3, S, S), labels (B,), images again."""
        rows = list(indices)
        batch = _channels_first(self._images[rows]), self._labels[rows]
        if self._for_teacher is None:
            return batch
        return *batch, _channels_first(self._for_teacher[rows])


def _channels_first(images: np.ndarray) -> Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2)


def _whole(batch: Any) -> Any:
    return batch  # `__getitems__` has made it already


def make_loader(
    dataset: CachedDataset, batch_size: int, *, shuffle: bool, seed: int, rank: int, processes: int
) -> DataLoader[Batch]:
    """Return the loader of one process; its order depends on seed and epoch alone.

    A training batch that is not full is left out, as batch normalisation over
    one or two images does harm; over the epochs other images fall out.
    """
    sampler: DistributedSampler[Batch] = DistributedSampler(
        dataset, num_replicas=processes, rank=rank, shuffle=shuffle, seed=seed
    )
    per_process = len(dataset) // processes
    return DataLoader(
        dataset,
        batch_size=min(batch_size, max(1, per_process)),
        sampler=sampler,
        drop_last=shuffle,
        collate_fn=_whole,
    )
