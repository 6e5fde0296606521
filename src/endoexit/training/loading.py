"""Batches of cached images: no file is decoded while a network trains."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from endoexit.images.cache import CachedImages

Batch = tuple[Tensor, Tensor]


class CachedDataset(Dataset[Batch]):
    """Cached images and their labels.

    Args:
        cached: Images uint8 (N, S, S, 3).
        labels: Class indices (N,).
    """

    def __init__(self, cached: CachedImages, labels: np.ndarray) -> None:
        self._images = cached.images
        self._labels = torch.from_numpy(labels)

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Return one batch at once: uint8 images (B, 3, S, S) and labels (B,)."""
        images = torch.from_numpy(self._images[list(indices)])
        return images.permute(0, 3, 1, 2), self._labels[list(indices)]


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
