"""`endoexit audit`: what would spoil a study, found before training."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from endoexit.cli.console import (
    JsonOption,
    LevelsOption,
    NamesKeyOption,
    NamesOption,
    NearBitsOption,
    OldNearBitsOption,
    Output,
    choose_near_bits,
    name_images,
    progress,
)
from endoexit.errors import counted, some

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table

    from endoexit.auditing.findings import Audit, Folds
    from endoexit.data.crossing import Crossing

_NAMED = 8  # so many files are named on the screen; all of them are in audit.json


def audit(
    directory: Annotated[Path, typer.Argument(help="Images in a folder for each class.")],
    *,
    near_bits: NearBitsOption = None,
    threshold: OldNearBitsOption = None,
    levels: LevelsOption = None,
    folds: Annotated[
        Path | None,
        typer.Option(
            help="CSV of published folds to check: file, class, fold; or path, label, fold."
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(help="Leave out what matches, such as 'masks' or '*_mask.png'; repeatable."),
    ] = None,
    out: Annotated[Path, typer.Option(help="File for all findings.")] = Path("audit.json"),
    groups_out: Annotated[
        Path | None,
        typer.Option(
            help="File for the group of each image; by default in the folder of --out, "
            "as NAME-groups.csv."
        ),
    ] = None,
    names: NamesOption = "path",
    names_key: NamesKeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find broken files, copies, near-copies, leaks and shortcuts in a folder of images.

    The class of an image is the name of its folder, or of the folder above where
    folders are patients; folders above may be named train, val and test. If there is a
    folder `images`, only that one is read. Nothing is deleted or moved. Findings
    do not change the exit code. With `--names index` or `hash`, no path below the
    folder is shown or written, except in the CSV of groups, which `endoexit split` reads.

    Example: `endoexit audit kvasir --near-bits 15 --out kvasir-audit.json`
    """
    from endoexit.auditing.recording import audit_document
    from endoexit.workflow.audit import audit as audit_folder

    output = Output(as_json)
    name_images(names, names_key)
    audited = audit_folder(
        directory,
        near_bits=choose_near_bits(near_bits, threshold),
        levels=levels,
        folds=folds,
        exclude=exclude or (),
        out=out,
        groups_out=groups_out,
        track=progress,
    )
    findings = audited.findings
    _show(output, findings)
    output.say(f"\nWritten: {out} (everything), {audited.groups} (the group of each image).")
    written = {"audit": str(out), "groups": str(audited.groups)}
    output.document(audit_document(findings).values() | {"written": written})


def _show(output: Output, findings: "Audit") -> None:
    output.say(*_what_was_read(findings), _class_table(findings), "")
    output.say(*_broken(findings), *_exact(findings), *_near(findings))
    if findings.parts:
        output.say("\nLeak across folders: images with a near-copy in an earlier folder")
        output.say(_part_table(findings.parts, findings.levels))
    if findings.folds:
        output.say("\nLeak across folds: images with a near-copy in another fold")
        output.say(
            _fold_table(findings.folds, findings.levels), *_fold_notes(findings, findings.folds)
        )
    output.say("", *_verdict(findings))


def _what_was_read(findings: "Audit") -> "Iterator[str]":
    listing = findings.listing
    yield (
        f"{listing.root}: {counted(len(findings.images), 'image')}, classes: {len(listing.classes)}"
        + (f", folders {', '.join(listing.parts)}" if listing.parts else "")
    )
    if listing.beside_images:
        yield f"Only images/ was read; next to it: {_paths(listing.beside_images)}."
    if listing.excluded:
        yield f"Excluded: {_paths(listing.excluded)}."
    if listing.unlabelled:
        yield (
            f"{counted(len(listing.unlabelled), 'image')} outside any class folder, not read: "
            f"{_paths(listing.unlabelled)}."
        )
    yield from listing.notes
    if listing.empty:
        yield f"Class folders without an image: {_paths(listing.empty)}."


def _class_table(findings: "Audit") -> "Table":
    from endoexit.auditing.recording import size_counts
    from endoexit.auditing.shortcuts import frame_shares

    table = _table("class", "images", "share", "sizes", "border", "bordered", "inset")
    shares = frame_shares(findings.images)
    for label, sizes in size_counts(findings).items():
        count = sum(sizes.values())
        if count == 0:
            table.add_row(label, "0", "", "none can be read", "", "", "")
            continue
        shown = ", ".join(f"{size} ({n})" if len(sizes) > 1 else size for size, n in
                          sizes.most_common(2))  # fmt: skip
        more = f", {len(sizes) - 2} more" if len(sizes) > 2 else ""
        share = shares[label]
        table.add_row(
            label, str(count), _percent(count / len(findings.images)), shown + more,
            _percent(share.border), _percent(share.bordered), _percent(share.inset),
        )  # fmt: skip
    table.caption = (
        "border: mean black area of the image; bordered: images with at least 5 % of it; "
        "inset: images with a position inset"
    )
    return table


def _broken(findings: "Audit") -> "Iterator[str]":
    total = len(findings.listing.files)
    if not findings.broken:
        yield f"Files: all {total} can be read."
        return
    yield f"Files: {len(findings.broken)} of {total} cannot be used:"
    for broken in findings.broken[:_NAMED]:
        yield f"  {findings.listing.mention(broken.file.path)} {broken.reason}"
    if len(findings.broken) > _NAMED:
        yield f"  and {len(findings.broken) - _NAMED} more (see the JSON)."


def _exact(findings: "Audit") -> "Iterator[str]":
    if not findings.copies:
        yield "Exact copies: none."
        return
    files = counted(len(findings.images), "file")
    line = f"Exact copies: {findings.distinct} distinct contents in {files}"
    if findings.parts:
        line += f"; {findings.copies_across_parts()} of them in more than one of " + ", ".join(
            findings.parts.names
        )
    yield f"{line}; {findings.copies_across_labels()} with more than one label."


def _near(findings: "Audit") -> "Iterator[str]":
    members = findings.members()
    mixed = sum(findings.mixed_labels.values())
    yield (
        f"Near-copies (up to {findings.threshold} of 256 bits): "
        f"{counted(int(findings.near.sum()), 'image')} with one; {counted(len(members), 'group')}, "
        f"the largest of {counted(max(map(len, members)), 'image')}, "
        f"{len(findings.mixed_groups())} with more than one label."
    )
    if mixed:
        pairs = tuple(f"{a} / {b} {n}" for (a, b), n in findings.mixed_labels.items())
        yield (
            f"Different labels on near-copies: {counted(mixed, 'pair')} ({some(pairs, _NAMED)}). "
            "The closest:"
        )
        closest = findings.mixed_pairs
        for first, second, bits in list(
            zip(closest.first, closest.second, closest.bits, strict=True)
        )[:3]:
            paths = (findings.images[index].file.path for index in (first, second))
            yield f"  {bits} bits: {' and '.join(map(findings.listing.mention, paths))}"


def _part_table(parts: "Crossing", levels: tuple[int, ...]) -> "Table":
    table = _table("of", "copy in", *(_within(bits) for bits in levels))
    for earlier, later in parts.ways():
        size = parts.size(later)
        counts = (parts.within(later, earlier, bits) for bits in levels)
        shares = (f"{count} ({_percent(count / size)})" for count in counts)
        table.add_row(f"{later} ({size})", earlier, *shares)
    return table


def _fold_table(folds: "Folds", levels: tuple[int, ...]) -> "Table":
    table = _table("class", *(_within(bits) for bits in levels))
    for label in (None, *folds.classes()):
        shares = (_percent(folds.share(bits, label)) for bits in levels)
        table.add_row(label or "all", *shares, end_section=label is None)
    return table


def _fold_notes(findings: "Audit", folds: "Folds") -> "Iterator[str]":
    table, crossing = folds.table, folds.crossing
    sizes = ", ".join(f"{name}: {crossing.size(name)}" for name in crossing.names)
    yield f"Folds are those of column {table.name!r} of {table.table} (images in {sizes})."
    if folds.without() or table.rows_without_image:
        yield (
            f"Images without a fold: {folds.without()}; rows that fit no image: "
            f"{table.rows_without_image}."
        )
    if table.other_label:
        yield (
            f"{counted(len(table.other_label), 'image')} with another label there than the "
            f"folder: {some(tuple(map(findings.listing.mention, table.other_label)), _NAMED)}."
        )


def _verdict(findings: "Audit") -> "Iterator[str]":
    for shortcut in findings.shortcuts:
        yield f"! Shortcut: {shortcut.text}"
    if not findings.shortcuts:
        yield "Shortcuts: no class differs by its border or inset."
    largest = max(map(len, findings.members()))
    if largest > max(50, len(findings.images) // 10):
        yield (
            f"! One group holds {largest} images: at {findings.threshold} bits different views "
            "link up; try a lower --near-bits."
        )
    for earlier, later in findings.parts.ways() if findings.parts else ():
        if findings.parts and findings.parts.within(later, earlier, findings.threshold):
            yield f"! Leak: a score on {later} counts images that were seen in {earlier}."
    if findings.folds and findings.folds.share(findings.threshold):
        share = _percent(findings.folds.share(findings.threshold))
        yield f"! Leak: cross-validation over these folds tests on seen images: {share} of all."
    if findings.near.any():
        folder = shlex.quote(str(findings.listing.root))
        yield (
            "Split so that near-copies stay together: "
            f"endoexit split {folder} --near-bits {findings.threshold}"
        )


def _table(first: str, *columns: str) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, caption_justify="left", pad_edge=False)
    table.add_column(first, overflow="fold")
    for column in columns:
        table.add_column(column, justify="left" if column == "sizes" else "right")
    return table


def _within(bits: int) -> str:
    return "same hash" if bits == 0 else f"≤ {bits} bits"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _paths(paths: tuple[str, ...]) -> str:
    from endoexit.naming import naming

    return naming().shown(some(paths, _NAMED)) or str(len(paths))
