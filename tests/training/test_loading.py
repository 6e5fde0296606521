"""Batches of cached images: right pairs, a fixed order, every process its own part."""

import numpy as np
import torch

from endoexit.images.cache import CachedImages
from endoexit.training.loading import CachedDataset, make_loader


def dataset(count: int) -> CachedDataset:
    """Images whose first pixel is their number; the label is the number's remainder by 3."""
    images = np.zeros((count, 4, 4, 3), np.uint8)
    images[:, 0, 0, 0] = np.arange(count)
    return CachedDataset(CachedImages(images, {}), np.arange(count) % 3)


def numbers(loader, epoch: int = 0) -> list[list[int]]:
    loader.sampler.set_epoch(epoch)
    batches = []
    for images, labels in loader:
        assert images.dtype == torch.uint8
        assert images.shape[1:] == (3, 4, 4)
        batches.append(images[:, 0, 0, 0].tolist())
        assert (images[:, 0, 0, 0] % 3).tolist() == labels.tolist()
    return batches


def loader(count: int = 20, size: int = 8, **options):
    settings = {"shuffle": True, "seed": 0, "rank": 0, "processes": 1}
    return make_loader(dataset(count), size, **settings | options)


def test_the_order_depends_on_seed_and_epoch_alone():
    first = numbers(loader())
    assert numbers(loader()) == first
    assert numbers(loader(seed=1)) != first
    assert numbers(loader(), epoch=1) != first


def test_training_leaves_out_the_batch_that_is_not_full_and_validation_does_not():
    training = numbers(loader())
    assert [len(batch) for batch in training] == [8, 8]
    assert numbers(loader(shuffle=False)) == [
        list(range(8)), list(range(8, 16)), list(range(16, 20)),
    ]  # fmt: skip


def test_fewer_images_than_a_batch_are_one_batch():
    assert sorted(numbers(loader(count=5, size=64))[0]) == [0, 1, 2, 3, 4]


def test_processes_share_the_images_out():
    batches = [numbers(loader(size=5, rank=rank, processes=2)) for rank in (0, 1)]
    assert [[len(batch) for batch in part] for part in batches] == [[5, 5], [5, 5]]
    assert sorted(number for part in batches for batch in part for number in batch) == [*range(20)]
