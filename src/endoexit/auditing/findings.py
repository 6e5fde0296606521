"""What is wrong with a folder of images before anyone trains on it. Nothing is changed."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from endoexit.auditing.document import Shortcut
from endoexit.auditing.shortcuts import find_shortcuts
from endoexit.data.crossing import Crossing
from endoexit.data.duplicates import DEFAULT_NEAR_BITS, Groups, Pairs, check_threshold, near_pairs
from endoexit.data.facts import BrokenFile, ImageFacts, hashes, look_into
from endoexit.data.folders import Listing
from endoexit.data.matching import FOLD_COLUMNS, Column, read_column
from endoexit.errors import DataError, counted

LISTED_PAIRS = 1000


@dataclass(frozen=True, eq=False)
class Folds:
    """Published folds, and the near-copies that cross them.

    Attributes:
        table: Table that they come from.
        crossing: Between the folds.
        labels: Classes of the images, (N,).
    """

    table: Column
    crossing: Crossing
    labels: npt.NDArray[np.str_]

    def classes(self) -> list[str]:
        """Return the classes of which an image has a fold, sorted."""
        return sorted(set(self.labels[self.crossing.values >= 0].tolist()))

    def share(self, bits: int, label: str | None = None) -> float:
        """Return the share of images (of one class) with a near-copy in another fold."""
        counted = self.crossing.values >= 0
        if label is not None:
            counted = counted & (self.labels == label)
        near = self.crossing.elsewhere()[counted] <= bits
        return float(near.mean()) if len(near) else 0.0

    def without(self) -> int:
        """Return how many images have no fold."""
        return int((self.crossing.values < 0).sum())


@dataclass(frozen=True, eq=False)
class Audit:
    """All that an audit found; images are named by their index into `images`.

    Attributes:
        listing: The labelled files, and what was not read.
        threshold: Bits up to which two images are near-copies.
        images: Those that can be read, N of them.
        broken: Files that cannot be used.
        groups: Number of each image's group of near-copies, (N,).
        copies: Sets of images with the same bytes.
        near_count: Pairs of near-copies, exact copies included.
        near: Whether an image has a near-copy, (N,).
        mixed_labels: Pairs of near-copies with different labels, by the two labels.
        mixed_pairs: The closest of them, at most `LISTED_PAIRS`.
        parts: Across folders named train, val, test; None where there are not two.
        folds: Across the folds of a table; None without one.
        shortcuts: Borders and insets that tell a class.
    """

    listing: Listing
    threshold: int
    images: tuple[ImageFacts, ...]
    broken: tuple[BrokenFile, ...]
    groups: npt.NDArray[np.int64]
    copies: tuple[tuple[int, ...], ...]
    near_count: int
    near: npt.NDArray[np.bool_]
    mixed_labels: dict[tuple[str, str], int]
    mixed_pairs: Pairs
    parts: Crossing | None
    folds: Folds | None
    shortcuts: tuple[Shortcut, ...]

    @property
    def levels(self) -> tuple[int, ...]:
        """Bits at which leaks are counted (none, a third, two thirds and all of the threshold)."""
        return tuple(sorted({self.threshold * third // 3 for third in range(4)}))

    @property
    def distinct(self) -> int:
        """Number of different contents."""
        return len(self.images) - sum(len(copies) - 1 for copies in self.copies)

    def label(self, index: int) -> str:
        """Return the label of one image."""
        return self.images[index].file.label

    def members(self) -> list[npt.NDArray[np.int64]]:
        """Return the images of each group, in the order of the groups' numbers."""
        order = np.argsort(self.groups, kind="stable")
        return np.split(order, np.cumsum(np.bincount(self.groups))[:-1])

    def mixed_groups(self) -> list[int]:
        """Return the numbers of the groups whose images have more than one label."""
        return [
            number
            for number, indices in enumerate(self.members())
            if len({self.label(index) for index in indices}) > 1
        ]

    def copies_across_parts(self) -> int:
        """Return how many contents lie in more than one of the folders train, val, test."""
        return self._copies_with_several(lambda image: image.file.part)

    def copies_across_labels(self) -> int:
        """Return how many contents carry more than one label."""
        return self._copies_with_several(lambda image: image.file.label)

    def _copies_with_several(self, what: Callable[[ImageFacts], str]) -> int:
        return sum(len({what(self.images[index]) for index in same}) > 1 for same in self.copies)


def audit_images(
    listing: Listing,
    *,
    threshold: int = DEFAULT_NEAR_BITS,
    folds: Path | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> Audit:
    """Look into every image of a folder and find what would spoil a study.

    Args:
        listing: The labelled files, from `list_images`.
        threshold: Bits of 256 up to which two images are near-copies.
        folds: A table of published folds (file, label, fold) to check for leaks.
        advance: Function that is called with 1 after each file.

    Raises:
        DataError: No file can be read as an image, or the table does not fit.
        UsageError: The threshold is out of range.
    """
    check_threshold(threshold)
    table = read_column(folds, listing.files, FOLD_COLUMNS) if folds is not None else None
    images, broken = look_into(listing, advance)
    if not images:
        raise DataError(
            f"none of {counted(len(broken), 'file')} in {listing.root} can be read as an image; "
            f"the first, {listing.mention(broken[0].file.path)}, {broken[0].reason}"
        )
    fold_of = table.values if table else {}
    parts = Crossing([image.file.part for image in images], listing.parts)
    in_folds = Crossing(
        [fold_of.get(image.file.path, "") for image in images], sorted(set(fold_of.values()))
    )
    labels = [image.file.label for image in images]
    near_copies = _Pairwise(labels, listing.classes)
    for pairs in near_pairs(hashes(images), threshold):
        near_copies.add(pairs)
        parts.add(pairs)
        in_folds.add(pairs)
    return Audit(
        listing=listing,
        threshold=threshold,
        images=tuple(images),
        broken=tuple(broken),
        groups=near_copies.groups.numbers(),
        copies=same_content(images),
        near_count=near_copies.count,
        near=near_copies.near,
        mixed_labels=near_copies.mixed_labels(),
        mixed_pairs=near_copies.mixed_pairs,
        parts=parts if len(parts.names) > 1 else None,
        folds=Folds(table, in_folds, np.array(labels)) if table else None,
        shortcuts=find_shortcuts(images),
    )


def same_content(images: Sequence[ImageFacts]) -> tuple[tuple[int, ...], ...]:
    """Return the sets of two or more images with the same bytes, in order."""
    by_content: defaultdict[str, list[int]] = defaultdict(list)
    for index, image in enumerate(images):
        by_content[image.sha256].append(index)
    return tuple(tuple(same) for same in by_content.values() if len(same) > 1)


class _Pairwise:
    """What the pairs of near-copies add up to, however many they are."""

    def __init__(self, labels: Sequence[str], classes: tuple[str, ...]) -> None:
        nothing = np.empty(0, dtype=np.int64)
        self.groups = Groups(len(labels))
        self.near = np.zeros(len(labels), dtype=bool)
        self.count = 0
        self.mixed_pairs = Pairs(nothing, nothing, nothing)
        self._classes = classes
        self._labels = np.array([classes.index(label) for label in labels], dtype=np.int64)
        self._mixed = np.zeros((len(classes), len(classes)), dtype=np.int64)

    def add(self, pairs: Pairs) -> None:
        self.groups.add(pairs.first, pairs.second)
        self.near[pairs.first] = self.near[pairs.second] = True
        self.count += len(pairs)
        first, second = self._labels[pairs.first], self._labels[pairs.second]
        np.add.at(self._mixed, (np.minimum(first, second), np.maximum(first, second)), 1)
        self.mixed_pairs = _closest(self.mixed_pairs, pairs.where(first != second))

    def mixed_labels(self) -> dict[tuple[str, str], int]:
        above = np.triu(self._mixed, 1)
        order = np.argsort(-above, axis=None, kind="stable")[: np.count_nonzero(above)]
        pairs = (np.unravel_index(index, above.shape) for index in order)
        return {(self._classes[a], self._classes[b]): int(above[a, b]) for a, b in pairs}


def _closest(known: Pairs, new: Pairs) -> Pairs:
    first, second, bits = (
        np.concatenate((getattr(known, name), getattr(new, name)))
        for name in ("first", "second", "bits")
    )
    order = np.lexsort((second, first, bits))[:LISTED_PAIRS]
    return Pairs(first[order], second[order], bits[order])
