"""Copies and near-copies of images: a difference hash, pairs within some bits, groups.

The hash has 256 bits: the image in greyscale at 17×16 pixels (bilinear), one bit
for each pixel that is brighter than its right neighbour. A few bits of
difference mean the same view with another compression, size or moment; unrelated
images differ by 128 bits on average.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from endoexit.errors import UsageError

HASH_BITS = 256
DEFAULT_NEAR_BITS = 15
MAX_THRESHOLD = 64
_SIDE = 16
_BLOCK = 1024


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of near-copies: three arrays of the same length.

    Attributes:
        first: Index of one image.
        second: Index of the other; always larger than `first`.
        bits: Number of bits in which their hashes differ.
    """

    first: npt.NDArray[np.int64]
    second: npt.NDArray[np.int64]
    bits: npt.NDArray[np.int64]

    def where(self, keep: npt.NDArray[np.bool_]) -> "Pairs":
        """Return the pairs for which `keep` is true."""
        return Pairs(self.first[keep], self.second[keep], self.bits[keep])

    def __len__(self) -> int:
        return len(self.first)


def difference_hash(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the 256-bit difference hash of an RGB image.

    Args:
        image: Array uint8 (height, width, 3).

    Returns:
        uint8 (32,): 16 rows of 16 bits, packed, the first bit highest.
    """
    grey = Image.fromarray(image).convert("L")
    small = np.asarray(grey.resize((_SIDE + 1, _SIDE), Image.Resampling.BILINEAR))
    return np.packbits(small[:, :-1] > small[:, 1:])


def check_threshold(threshold: int) -> None:
    """Refuse a threshold at which the hash says nothing.

    Raises:
        UsageError: It is not between 0 and `MAX_THRESHOLD`.
    """
    if not 0 <= threshold <= MAX_THRESHOLD:
        raise UsageError(
            f"--near-bits {threshold} is not between 0 and {MAX_THRESHOLD} (of {HASH_BITS}): "
            "more would link unrelated images; 15 is a good start."
        )


def near_pairs(hashes: npt.NDArray[np.uint8], threshold: int) -> Iterator[Pairs]:
    """Yield all pairs of hashes that differ in at most `threshold` bits, block by block.

    With bits written as ±1, the product of two hashes is 256 minus twice their
    distance, so that a block of distances is one matrix product. Memory is bounded
    by the block, however many pairs there are.

    Args:
        hashes: Array uint8 (N, 32).
        threshold: Largest distance of near-copies, in bits.

    Raises:
        UsageError: The threshold is out of range.
    """
    check_threshold(threshold)
    signs = np.unpackbits(hashes, axis=1).astype(np.float32) * 2 - 1
    least = HASH_BITS - 2 * threshold
    for top in range(0, len(signs), _BLOCK):
        rows = signs[top : top + _BLOCK]
        for left in range(top, len(signs), _BLOCK):
            products = rows @ signs[left : left + _BLOCK].T
            first, second = np.nonzero(products >= least)
            bits = ((HASH_BITS - products[first, second]) / 2).astype(np.int64)
            pairs = Pairs(first + top, second + left, bits)
            yield pairs.where(pairs.first < pairs.second)


class Groups:
    """Groups of what is linked by pairs, directly or over others (single linkage)."""

    def __init__(self, count: int) -> None:
        self._labels: npt.NDArray[np.int64] = np.arange(count)
        self._count = count

    def add(self, first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]) -> None:
        """Link each of the first to its second."""
        if len(first) == 0:
            return
        ends = self._labels[first], self._labels[second]
        shape = (self._count, self._count)
        links = coo_matrix((np.ones(len(first), dtype=bool), ends), shape=shape)
        self._count, merged = connected_components(links, directed=False)
        self._labels = merged[self._labels].astype(np.int64)

    def numbers(self) -> npt.NDArray[np.int64]:
        """Return the group of each image, (N,), numbered from 0 in order of first appearance."""
        _, first, inverse = np.unique(self._labels, return_index=True, return_inverse=True)
        rank = np.empty(len(first), dtype=np.int64)
        rank[np.argsort(first)] = np.arange(len(first))
        return rank[inverse]
