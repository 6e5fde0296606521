"""Findings as the document `audit.json`, and the groups as CSV for splitting."""

from collections import Counter
from pathlib import Path

import numpy as np

from endoexit import __version__
from endoexit.auditing.document import (
    AuditDocument,
    Broken,
    ClassFacts,
    ClosePair,
    ExactCopies,
    Files,
    Folders,
    Folds,
    FoldShares,
    GroupOfCopies,
    ImageEntry,
    LabelPairs,
    Leak,
    NearCopies,
)
from endoexit.auditing.findings import Audit
from endoexit.auditing.shortcuts import frame_shares
from endoexit.data.crossing import FAR
from endoexit.data.folders import ImageFile
from endoexit.data.grouping import group_names
from endoexit.files import write_csv
from endoexit.naming import naming

HASH = "256-bit difference hash, 16×16, bilinear, greyscale"


def write_audit(audit: Audit, path: Path) -> None:
    """Write all findings of an audit, with a table of all files and all groups, as JSON."""
    tables = {"groups": _groups(audit), "images": _images(audit)}
    audit_document(audit).replaced(**tables).write(path)


def write_groups(audit: Audit, path: Path) -> None:
    """Write the group of every image as CSV (path, label, group); `endoexit split` reads it."""
    rows = (
        (image.file.path, image.file.label, group)
        for image, group in zip(audit.images, group_names(audit.images, audit.groups), strict=True)
    )
    write_csv(path, ("path", "label", "group"), rows)


def audit_document(audit: Audit) -> AuditDocument:
    """Return the findings of an audit without the tables of images and groups."""
    listing = audit.listing
    return AuditDocument(
        endoexit=__version__,
        root=str(listing.root),
        hash=HASH,
        threshold_bits=audit.threshold,
        files=Files(
            found=len(listing.files),
            readable=len(audit.images),
            broken=tuple(
                Broken(**_file(audit, broken.file), kind=broken.kind, reason=broken.reason)
                for broken in audit.broken
            ),
            beside_images=_names(listing.beside_images),
            excluded=_names(listing.excluded),
            outside_a_class=_names(listing.unlabelled),
            empty_classes=_names(listing.empty),
            passed_over=tuple(listing.passed_over),
        ),
        levels=listing.levels,
        classes=_classes(audit),
        exact_copies=ExactCopies(
            distinct_contents=audit.distinct,
            repeated_contents=len(audit.copies),
            in_several_folders=audit.copies_across_parts(),
            with_several_labels=audit.copies_across_labels(),
            sets=tuple(tuple(_path(audit, index) for index in same) for same in audit.copies),
        ),
        near_copies=_near(audit),
        folders=_folders(audit),
        folds=_folds(audit),
        shortcuts=audit.shortcuts,
    )


def size_counts(audit: Audit) -> dict[str, Counter[str]]:
    """Return the image sizes ("width×height") of each class, by label in sorted order."""
    sizes: dict[str, Counter[str]] = {label: Counter() for label in audit.listing.classes}
    for image in audit.images:
        sizes[image.file.label][f"{image.width}×{image.height}"] += 1
    return sizes


def _classes(audit: Audit) -> dict[str, ClassFacts]:
    sizes = size_counts(audit)
    shares = frame_shares(audit.images)
    return {
        label: ClassFacts(
            images=sum(counts.values()),
            sizes=dict(counts.most_common()),
            border_area=round(shares[label].border, 4) if label in shares else None,
            bordered_share=round(shares[label].bordered, 4) if label in shares else None,
            inset_share=round(shares[label].inset, 4) if label in shares else None,
        )
        for label, counts in sizes.items()
    }


def _near(audit: Audit) -> NearCopies:
    pairs = audit.mixed_pairs
    return NearCopies(
        pairs=audit.near_count,
        images=int(audit.near.sum()),
        groups=len(audit.members()),
        largest_group=max(len(members) for members in audit.members()),
        groups_with_several_labels=len(audit.mixed_groups()),
        pairs_with_different_labels=sum(audit.mixed_labels.values()),
        by_labels=tuple(
            LabelPairs(labels=labels, pairs=count) for labels, count in audit.mixed_labels.items()
        ),
        closest_with_different_labels=tuple(
            ClosePair(paths=(_path(audit, first), _path(audit, second)), bits=int(bits))
            for first, second, bits in zip(pairs.first, pairs.second, pairs.bits, strict=True)
        ),
    )


def _folders(audit: Audit) -> Folders | None:
    parts = audit.parts
    if parts is None:
        return None
    return Folders(
        images={name: parts.size(name) for name in parts.names},
        leaks=tuple(
            Leak(
                of=later,
                near_copy_in=earlier,
                images_within_bits={str(n): parts.within(later, earlier, n) for n in audit.levels},
            )
            for earlier, later in parts.ways()
        ),
    )


def _folds(audit: Audit) -> Folds | None:
    folds = audit.folds
    if folds is None:
        return None
    return Folds(
        table=str(folds.table.table),
        column=folds.table.name,
        images={name: folds.crossing.size(name) for name in folds.crossing.names},
        images_without_fold=folds.without(),
        rows_without_image=folds.table.rows_without_image,
        with_another_label=tuple(map(audit.listing.name, folds.table.other_label)),
        share_with_near_copy_in_another_fold={
            str(level): FoldShares(
                all=round(folds.share(level), 4),
                classes={label: round(folds.share(level, label), 4) for label in folds.classes()},
            )
            for level in audit.levels
        },
    )


def _groups(audit: Audit) -> tuple[GroupOfCopies, ...]:
    """Return the groups of more than one image."""
    return tuple(
        GroupOfCopies(
            group=number,
            labels=tuple(sorted({audit.label(index) for index in members})),
            paths=tuple(_path(audit, index) for index in members),
        )
        for number, members in enumerate(audit.members())
        if len(members) > 1
    )


def _images(audit: Audit) -> tuple[ImageEntry, ...]:
    other_part = audit.parts.elsewhere() if audit.parts else ()
    other_fold = audit.folds.crossing.elsewhere() if audit.folds else ()
    entries = []
    for index, image in enumerate(audit.images):
        crossing: dict[str, int | str | None] = {}  # absent where there is nothing to cross
        if audit.parts:
            crossing["bits_to_other_folder"] = _bits(other_part[index])
        if audit.folds:
            crossing["fold"] = audit.folds.table.values.get(image.file.path)
            crossing["bits_to_other_fold"] = _bits(other_fold[index])
        entries.append(
            ImageEntry.model_validate(
                {
                    **_file(audit, image.file),
                    "group": int(audit.groups[index]),
                    "sha256": image.sha256,
                    "hash": image.hash.hex(),
                    "width": image.width,
                    "height": image.height,
                    "border": image.frame.border,
                    "inset": image.frame.inset,
                    **crossing,
                }
            )
        )
    return tuple(entries)


def _file(audit: Audit, file: ImageFile) -> dict[str, str]:
    return {"path": audit.listing.name(file.path), "label": file.label, "part": file.part}


def _path(audit: Audit, index: int) -> str:
    return audit.listing.name(audit.images[index].file.path)


def _names(paths: tuple[str, ...]) -> tuple[str, ...]:
    """Return names of what is no labelled file; their numbers count within this list."""
    return tuple(naming().name(path, place) for place, path in enumerate(paths))


def _bits(bits: np.int16) -> int | None:
    return None if bits >= FAR else int(bits)
