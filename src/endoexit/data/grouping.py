"""Which images belong together, and which of them contradict each other."""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from endoexit.data.crossing import Crossing
from endoexit.data.duplicates import DEFAULT_NEAR_BITS, Groups, check_threshold, near_pairs
from endoexit.data.facts import BrokenFile, ImageFacts, hashes, look_into
from endoexit.data.folders import Listing
from endoexit.data.matching import Column
from endoexit.errors import DataError, counted
from endoexit.naming import naming

Mixed = Literal["drop", "keep", "refuse"]


@dataclass(frozen=True, slots=True)
class GroupRules:
    """What belongs together.

    Attributes:
        threshold: Bits of 256 up to which two images are near-copies.
        column: Groups of the user (patients, videos); None to group near-copies alone.
        merge: Whether groups of the user that near-copies link are joined, not refused.
        mixed: Treatment of near-copies that have different labels: `drop` those
            that disagree with the majority of their group (all of it where there
            is none), `keep` them together, or `refuse`. Of identical files with
            different labels `keep` keeps none.
    """

    threshold: int = DEFAULT_NEAR_BITS
    column: Column | None = None
    merge: bool = False
    mixed: Mixed = "drop"


@dataclass(frozen=True, eq=False)
class Pool:
    """The images that a split may use, each with its group.

    Attributes:
        images: Images in the order of the folder, N of them, with all identical files.
        groups: Name of each image's group, (N,).
        broken: Files that cannot be used.
        mixed: Images without a place in the split, because their labels contradict each other.
        parts: Near-copies between the folders train, val, test, over all readable images.
    """

    images: tuple[ImageFacts, ...]
    groups: tuple[str, ...]
    broken: tuple[BrokenFile, ...]
    mixed: tuple[ImageFacts, ...]
    parts: Crossing


def gather(
    listing: Listing, rules: GroupRules, advance: Callable[[int], None] = lambda _: None
) -> Pool:
    """Look into every file and decide what belongs together.

    Raises:
        DataError: Labels contradict each other or near-copies link groups of the
            user, and the rules refuse that; or an image has no group.
        UsageError: The threshold is out of range.
    """
    check_threshold(rules.threshold)
    images, broken = look_into(listing, advance)
    parts = Crossing([image.file.part for image in images], listing.parts)
    links = Groups(len(images))
    for pairs in near_pairs(hashes(images), rules.threshold):
        links.add(pairs.first, pairs.second)
        parts.add(pairs)
    near = links.numbers()
    dropped = _contradicting(listing, images, near, rules)
    usable = [index for index in range(len(images)) if index not in dropped]
    kept = [images[index] for index in usable]
    if rules.column is None:
        groups = group_names(kept, near[usable])
    else:
        groups = _users_groups(listing, kept, near[usable], rules, rules.column)
    mixed = tuple(images[index] for index in sorted(dropped))
    return Pool(tuple(kept), tuple(groups), tuple(broken), mixed, parts)


def _contradicting(
    listing: Listing, images: list[ImageFacts], near: npt.NDArray[np.int64], rules: GroupRules
) -> set[int]:
    """Return the images to drop for their labels."""
    by_group = _by(near.tolist())
    mixed = [members for members in by_group if len({images[i].file.label for i in members}) > 1]
    if rules.mixed == "keep":
        same = _by([image.sha256 for image in images])
        return {
            i for copies in same if len({images[j].file.label for j in copies}) > 1 for i in copies
        }
    if mixed and rules.mixed == "refuse":
        first = {images[i].file.label: images[i].file.path for i in reversed(mixed[0])}
        examples = " and ".join(map(listing.mention, sorted(first.values())))
        raise DataError(
            f"{counted(len(mixed), 'group')} of near-copies (up to {rules.threshold} bits) with "
            f"more than one label, as {examples}: correct the labels, or use --mixed drop or "
            "--mixed keep."
        )
    dropped: set[int] = set()
    for members in mixed:
        counts = Counter(images[i].file.label for i in members).most_common()
        majority = counts[0][0] if counts[0][1] > counts[1][1] else None
        dropped.update(i for i in members if images[i].file.label != majority)
    return dropped


def _users_groups(
    listing: Listing,
    images: list[ImageFacts],
    near: npt.NDArray[np.int64],
    rules: GroupRules,
    column: Column,
) -> list[str]:
    """Return the user's group of each image; groups that near-copies link are refused or joined."""
    missing = [image.file.path for image in images if image.file.path not in column.values]
    if missing:
        raise DataError(
            f"{column.table} has no {column.name!r} for {len(missing)} of "
            f"{counted(len(images), 'image')}, such as {listing.mention(missing[0])}: add them, "
            "or leave them out with --exclude."
        )
    given = [column.values[image.file.path] for image in images]
    linked = [members for members in _by(near.tolist()) if len({given[i] for i in members}) > 1]
    if linked and not rules.merge:
        first = linked[0][0]
        second = next(i for i in linked[0] if given[i] != given[first])
        examples = " and ".join(
            listing.mention(images[i].file.path) + naming().shown(f" ({given[i]})")
            for i in (first, second)
        )
        raise DataError(
            f"{counted(len(linked), 'group')} of near-copies (up to {rules.threshold} bits) across "
            f"several groups of {column.name!r}, as {examples}: correct the column, use a lower "
            "--near-bits, or join such groups with --merge-groups."
        )
    return _joined(given, near)


def group_names(images: Sequence[ImageFacts], near: npt.NDArray[np.int64]) -> list[str]:
    """Return the name of each image's group: its folder's or patient's, joined with near-copies.

    Folders of one patient, as DICOM objects tell it, are joined too.

    Args:
        images: The images, N of them.
        near: Number of each image's group of near-copies, (N,).
    """
    if not any(image.file.group or image.patient for image in images):
        return [str(number) for number in near]
    linked = _with_patients(near, [image.patient for image in images])
    given = [
        image.file.group or image.patient or f"near-copies {number}"
        for image, number in zip(images, near, strict=True)
    ]
    return _joined(given, linked)


def _with_patients(near: npt.NDArray[np.int64], patients: list[str]) -> npt.NDArray[np.int64]:
    """Return the numbers of groups in which images of one patient are linked as near-copies are."""
    if not any(patients):
        return near
    first: dict[str, int] = {}
    members = [position for position, patient in enumerate(patients) if patient]
    firsts = np.array([first.setdefault(patients[at], at) for at in members])
    links = Groups(int(near.max()) + 1)
    links.add(near[members], near[firsts])
    return links.numbers()[near]


def _joined(given: list[str], near: npt.NDArray[np.int64]) -> list[str]:
    """Join the given groups that share a group of near-copies: `a` and `b` become `a+1`."""
    index = {name: number for number, name in enumerate(dict.fromkeys(given))}
    numbers = np.array([index[name] for name in given], dtype=np.int64)
    links = Groups(len(index) + int(near.max(initial=-1)) + 1)
    links.add(numbers, len(index) + near)
    together = _by(links.numbers()[: len(index)].tolist())
    names = list(index)
    joined = {
        number: names[members[0]] + (f"+{len(members) - 1}" if len(members) > 1 else "")
        for members in together
        for number in members
    }
    return [joined[number] for number in numbers.tolist()]


def _by(keys: Iterable[Hashable]) -> list[list[int]]:
    """Return the positions of each key, keys in order of first appearance."""
    positions: defaultdict[Hashable, list[int]] = defaultdict(list)
    for position, key in enumerate(keys):
        positions[key].append(position)
    return list(positions.values())
