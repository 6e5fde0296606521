"""From a folder of images to a manifest in which nothing leaks from one role into another."""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from endoexit.data.facts import BrokenFile, ImageFacts
from endoexit.data.folders import Listing
from endoexit.data.grouping import GroupRules, Pool, gather
from endoexit.data.leaks import Leak, measure_leak, parts_by_group
from endoexit.data.roles import assign_roles
from endoexit.data.rows import ROLES, ManifestRow
from endoexit.errors import DataError, UsageError, counted

Leaks = Literal["refuse", "drop", "accept"]


@dataclass(frozen=True, eq=False)
class Split:
    """A split, ready to be written as a manifest.

    Attributes:
        rows: The images, in the order of the folder.
        broken: Files that cannot be used.
        mixed: Paths without a place, because their labels contradict each other.
        copies: Paths of files that are identical to one that stays.
        leaking: Paths of images with a near-copy in a later role.
        leak: Leak of the user's folders; None where there was none.
    """

    rows: tuple[ManifestRow, ...]
    broken: tuple[BrokenFile, ...]
    mixed: tuple[str, ...]
    copies: tuple[str, ...]
    leaking: tuple[str, ...] = ()
    leak: Leak | None = None

    def groups(self) -> dict[str, int]:
        """Return the number of groups of each role."""
        counts = Counter(role for role, _ in {(row.role, row.group) for row in self.rows})
        return {role: counts[role] for role in ROLES if role in counts}

    def mixed_groups(self) -> int:
        """Return how many groups have more than one label."""
        pairs = {(row.group, row.label) for row in self.rows}
        return sum(count > 1 for count in Counter(group for group, _ in pairs).values())

    def facts(self, listing: Listing) -> dict[str, Any]:
        """Return as JSON values what was left out of a listing, and how large the leak was."""
        name = listing.name
        return {
            "groups": self.groups(),
            "groups_with_several_labels": self.mixed_groups(),
            "left_out": {
                "broken": {name(broken.file.path): broken.reason for broken in self.broken},
                "different_labels": list(map(name, self.mixed)),
                "identical_copies": list(map(name, self.copies)),
                "leaking": list(map(name, self.leaking)),
            },
            "leak": str(self.leak) if self.leak else None,
        }


def split_by_groups(
    listing: Listing,
    shares: Mapping[str, float],
    rules: GroupRules,
    *,
    seed: int = 0,
    advance: Callable[[int], None] = lambda _: None,
) -> Split:
    """Give each group of images one role, balanced over classes.

    Args:
        listing: The labelled files.
        shares: Share of each role; they add up to 1.
        rules: Rules for what belongs together.
        seed: Random seed. The same seed and images give the same split on every file system.
        advance: Function that is called with 1 after each file.

    Raises:
        DataError: There are too few classes, images or groups, or the rules refuse.
        UsageError: The threshold is out of range.
    """
    _check_classes(Counter(file.label for file in listing.files), listing)
    pool = gather(listing, rules, advance)
    kept, copies = _without_copies(pool, range(len(pool.images)), lambda image: image.sha256)
    _check_classes(Counter(pool.images[index].file.label for index in kept), listing)
    roles = _assign(pool, kept, shares, seed)
    groups = [pool.groups[index] for index in kept]
    return Split(
        rows=_rows(pool, kept, groups, roles),
        broken=pool.broken,
        mixed=tuple(image.file.path for image in pool.mixed),
        copies=copies,
    )


def split_by_folders(
    listing: Listing,
    rules: GroupRules,
    *,
    leaks: Leaks = "refuse",
    train_shares: Mapping[str, float] | None = None,
    seed: int = 0,
    advance: Callable[[int], None] = lambda _: None,
) -> Split:
    """Take the roles from folders named train, val, test (and their other spellings).

    Args:
        listing: The labelled files.
        rules: Rules for what belongs together.
        leaks: Treatment of a group that is in several folders: `refuse`; `drop` its
            images from all but the last role (test before val before train); or
            `accept`, which cuts the group at the folders.
        train_shares: Roles to divide the images of `train` into, by groups.
        seed: Random seed of that division.
        advance: Function that is called with 1 after each file.

    Raises:
        DataError: The folders leak and that is refused; there are no two such
            folders, or images outside of them; or as in `split_by_groups`.
        UsageError: A role is both a folder and a share of train.
    """
    _check_classes(Counter(file.label for file in listing.files), listing)
    _check_folders(listing, train_shares)
    pool = gather(listing, rules, advance)
    parts = parts_by_group(pool)
    leak = measure_leak(pool, parts, rules.threshold)
    if leak and leaks == "refuse":
        raise DataError(
            f"the folders of {listing.root} leak: {leak}. Leave the earlier copies out with "
            "--drop-leaks, keep them with --accept-leak, or split anew without --from-folders."
        )
    usable = range(len(pool.images))
    leaking: list[int] = []
    if leaks == "drop":
        last = {group: max(folders, key=ROLES.index) for group, folders in parts.items()}
        leaking = [i for i in usable if pool.images[i].file.part != last[pool.groups[i]]]
    stay = [index for index in usable if index not in set(leaking)]
    kept, copies = _without_copies(pool, stay, lambda image: (image.sha256, image.file.part))
    roles = [pool.images[index].file.part for index in kept]
    # A leak that was accepted cuts a group at the folders: a group has one role.
    groups = [
        f"{pool.groups[i]}/{role}" if leaks == "accept" and len(parts[pool.groups[i]]) > 1
        else pool.groups[i]
        for i, role in zip(kept, roles, strict=True)
    ]  # fmt: skip
    if train_shares is not None:
        inside = [index for index, role in zip(kept, roles, strict=True) if role == "train"]
        divided = dict(zip(inside, _assign(pool, inside, train_shares, seed), strict=True))
        roles = [divided.get(index, role) for index, role in zip(kept, roles, strict=True)]
    return Split(
        rows=_rows(pool, kept, groups, roles),
        broken=pool.broken,
        mixed=tuple(image.file.path for image in pool.mixed),
        copies=copies,
        leaking=tuple(pool.images[index].file.path for index in leaking),
        leak=leak,
    )


def _check_classes(counts: Mapping[str, int], listing: Listing) -> None:
    if len(listing.classes) < 2:
        raise DataError(
            f"{listing.root} has one class, {listing.classes[0]!r}: a classifier needs two or "
            "more; name the folder that holds the class folders."
        )
    for label in listing.classes:
        if counts.get(label, 0) < 2:
            what = "one usable image" if counts.get(label) else "no usable image"
            raise DataError(
                f"the class {label!r} of {listing.root} has {what}: add images, or leave the "
                f"class out with --exclude {label!r}."
            )


def _check_folders(listing: Listing, train_shares: Mapping[str, float] | None) -> None:
    if len(listing.parts) < 2:
        raise DataError(
            f"{listing.root} has no two folders named after roles (train, val, test): leave out "
            "--from-folders to split it here."
        )
    outside = [file.path for file in listing.files if not file.part]
    if outside:
        raise DataError(
            f"{counted(len(outside), 'image')} outside of {', '.join(listing.parts)}, such as "
            f"{listing.mention(outside[0])}: move them, or leave them out with --exclude."
        )
    if train_shares is None:
        return
    if "train" not in listing.parts:
        raise UsageError("--roles divides the folder train, but there is none: leave it out.")
    twice = [role for role in train_shares if role in listing.parts and role != "train"]
    if twice:
        raise UsageError(
            f"the role {twice[0]!r} is a folder of {listing.root} and in --roles too: with "
            "--from-folders, --roles divides the folder train alone; take it out of --roles."
        )


def _without_copies(
    pool: Pool, indices: Sequence[int], content: Callable[[ImageFacts], Hashable]
) -> tuple[list[int], tuple[str, ...]]:
    """Return the first image of each content, and the paths of the others."""
    first: dict[Hashable, int] = {}
    for index in indices:
        first.setdefault(content(pool.images[index]), index)
    kept = sorted(first.values())
    copies = sorted(set(indices) - set(kept))
    return kept, tuple(pool.images[index].file.path for index in copies)


def _assign(
    pool: Pool, indices: Sequence[int], shares: Mapping[str, float], seed: int
) -> list[str]:
    """Give the groups of these images roles, if every class has enough groups."""
    names = [pool.images[index].file.label for index in indices]
    classes = sorted(set(names))
    groups = [pool.groups[index] for index in indices]
    for label in classes:
        of_class = {group for group, name in zip(groups, names, strict=True) if name == label}
        if len(of_class) < len(shares):
            raise DataError(
                f"the images of class {label!r} form {counted(len(of_class), 'group')}, fewer than "
                f"the {len(shares)} roles: ask for fewer roles, or add images from other patients."
            )
    number = {group: position for position, group in enumerate(dict.fromkeys(groups))}
    return assign_roles(
        np.array([classes.index(name) for name in names], dtype=np.int64),
        np.array([number[group] for group in groups], dtype=np.int64),
        shares,
        seed,
        classes,
    )


def _rows(
    pool: Pool, kept: Sequence[int], groups: Sequence[str], roles: Sequence[str]
) -> tuple[ManifestRow, ...]:
    return tuple(
        ManifestRow(pool.images[index].file.path, pool.images[index].file.label, group, role)
        for index, group, role in zip(kept, groups, roles, strict=True)
    )
