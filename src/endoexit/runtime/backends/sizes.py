"""The batch sizes that stages are compiled for, and how a batch of any size is made of them."""

SIZES = (16, 4, 1)
"""Batch sizes that stages are compiled for, the largest first."""

WARM_UP_RUNS = 3
"""Runs of every stage and size before the times are stable."""


def parts_of(images: int) -> list[int]:
    """Return the sizes of the parts in which a batch runs, the largest first."""
    parts: list[int] = []
    for size in SIZES:
        count, images = divmod(images, size)
        parts += [size] * count
    return parts


def sizes_up_to(images: int) -> list[int]:
    """Return the batch sizes to run once before batches of up to so many images come."""
    return sorted({size for size in SIZES if size < images} | {images})
