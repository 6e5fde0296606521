"""The two splits of the same images, and how far the random one leaks."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from endoexit.data.crossing import Crossing
from endoexit.data.duplicates import near_pairs
from endoexit.data.folders import Listing
from endoexit.data.grouping import GroupRules
from endoexit.data.manifest import LICENCE, SOURCE, Manifest, write_manifest
from endoexit.data.roles import assign_roles
from endoexit.data.rows import ManifestRow
from endoexit.data.splits import split_by_groups
from endoexit.datasets.layouts import Recognised
from endoexit.documents import Record
from endoexit.reproduction.settings import SHARES, SplitName

SEED = 0
"""Random seed of both splits: a further training seed is about the same images."""


class Leak(Record):
    """Images of test with a near-copy among the images that the network was made from.

    Attributes:
        bits: Distance of near-copies.
        images: Number of test images.
        near: Number of those with a near-copy in train, val or calibrate.
        paths: Their paths.
    """

    bits: int
    images: int = Field(ge=0)
    near: int = Field(ge=0)
    paths: tuple[str, ...]


def make_manifest(
    path: Path,
    name: SplitName,
    recognised: Recognised,
    *,
    broken: Collection[str],
    near_bits: int,
    advance: Callable[[int], None] = lambda _: None,
) -> Manifest:
    """Write the manifest of a split.

    Args:
        path: File of the manifest.
        name: Name of the split.
        recognised: The images.
        broken: Paths of files that cannot be read; both splits leave them out.
        near_bits: Distance of near-copies that are kept together.
        advance: Function that is called with 1 after each file that is looked into.

    Raises:
        DataError: There are too few images or groups of a class.
    """
    listing = recognised.listing
    facts: dict[str, Any] = {
        "made_by": "endoexit reproduce kvasir",
        "split": name,
        "seed": SEED,
        "roles": SHARES,
        LICENCE: recognised.release.licence,
        SOURCE: recognised.release.citation,
    }
    if name == "groups":
        made = split_by_groups(listing, SHARES, GroupRules(near_bits), seed=SEED, advance=advance)
        rows, more = made.rows, {"threshold_bits": near_bits, **made.facts(listing)}
    else:
        rows, more = split_at_random(listing, SHARES, broken), {}
    return write_manifest(path, rows, listing.root, {**facts, **more})


def split_at_random(
    listing: Listing, shares: Mapping[str, float], broken: Collection[str] = ()
) -> tuple[ManifestRow, ...]:
    """Give each image a role at random, classes balanced, whatever near-copies it has.

    This is what the papers do. Identical files stay: they were published so. Each image is a
    group, as if images were independent.

    Args:
        listing: The images.
        shares: Shares of the roles, adding up to 1.
        broken: Paths of files that are left out.

    Raises:
        DataError: A class has fewer images than there are roles.
    """
    files = [file for file in listing.files if file.path not in set(broken)]
    classes = sorted({file.label for file in files})
    labels = np.array([classes.index(file.label) for file in files], dtype=np.int64)
    groups = np.arange(len(files), dtype=np.int64)
    roles = assign_roles(labels, groups, shares, SEED, classes)
    return tuple(
        ManifestRow(file.path, file.label, str(number), role)
        for number, (file, role) in enumerate(zip(files, roles, strict=True))
    )


def measure_leak(manifest: Manifest, hashes: Mapping[str, bytes], bits: int) -> Leak:
    """Return how many test images have a near-copy among those that made the network.

    Args:
        manifest: The split.
        hashes: Difference hashes of the images by path, as the audit found them.
        bits: Distance of near-copies.
    """
    paths = [row.path for row in manifest.rows]
    sides = ["test" if row.role == "test" else "seen" for row in manifest.rows]
    crossing = Crossing(sides, ("seen", "test"))
    table = np.frombuffer(b"".join(hashes[path] for path in paths), dtype=np.uint8)
    for pairs in near_pairs(table.reshape(len(paths), -1), bits):
        crossing.add(pairs)
    near = crossing.elsewhere() <= bits
    leaking = tuple(_chosen(paths, [side == "test" for side in sides], near))
    return Leak(bits=bits, images=sides.count("test"), near=len(leaking), paths=leaking)


def _chosen(paths: Sequence[str], test: Sequence[bool], near: np.ndarray) -> list[str]:
    return [path for path, is_test, is_near in zip(paths, test, near, strict=True)
            if is_test and is_near]  # fmt: skip
