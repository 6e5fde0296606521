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
from endoexit.errors import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table

    from endoexit.auditing.findings import Audit, Folds
    from endoexit.data.crossing import Crossing

_NAMED = 8  # so many files are named on the screen; all of them are in audit.json


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("audit")(audit)


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
    folders are patients; folders above may be named train, val and test. Next to a
    folder `images`, no other folder is read. Nothing is deleted or moved. Findings
    do not change the exit code. With `--names`, no path below the
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
    found = audited.findings
    _show(output, found)
    output.say(f"\nWritten: {out} (everything), {audited.groups} (the group of each image).")
    written = {"audit": str(out), "groups": str(audited.groups)}
    output.document(audit_document(found).values() | {"written": written})


def _show(output: Output, found: "Audit") -> None:
    output.say(*_what_was_read(found), _class_table(found), "")
    output.say(*_broken(found), *_exact(found), *_near(found))
    if found.parts:
        output.say("\nLeak across folders: images with a near-copy in an earlier folder")
        output.say(_part_table(found.parts, found.levels))
    if found.folds:
        output.say("\nLeak across folds: images with a near-copy in another fold")
        output.say(_fold_table(found.folds, found.levels), *_fold_notes(found, found.folds))
    output.say("", *_verdict(found))


def _what_was_read(found: "Audit") -> "Iterator[str]":
    listing = found.listing
    yield (
        f"{listing.root}: {counted(len(found.images), 'image')}, classes: {len(listing.classes)}"
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


def _class_table(found: "Audit") -> "Table":
    from endoexit.auditing.recording import size_counts
    from endoexit.auditing.shortcuts import frame_shares

    table = _table("class", "images", "share", "sizes", "border", "bordered", "inset")
    shares = frame_shares(found.images)
    for label, sizes in size_counts(found).items():
        count = sum(sizes.values())
        if count == 0:
            table.add_row(label, "0", "", "none can be read", "", "", "")
            continue
        shown = ", ".join(f"{size} ({n})" if len(sizes) > 1 else size for size, n in
                          sizes.most_common(2))  # fmt: skip
        more = f", {len(sizes) - 2} more" if len(sizes) > 2 else ""
        share = shares[label]
        table.add_row(
            label, str(count), _percent(count / len(found.images)), shown + more,
            _percent(share.border), _percent(share.bordered), _percent(share.inset),
        )  # fmt: skip
    table.caption = (
        "border: mean black area of the image; bordered: images with at least 5 % of it; "
        "inset: images with a position inset"
    )
    return table


def _broken(found: "Audit") -> "Iterator[str]":
    total = len(found.listing.files)
    if not found.broken:
        yield f"Files: all {total} can be read."
        return
    yield f"Files: {len(found.broken)} of {total} cannot be used:"
    for broken in found.broken[:_NAMED]:
        yield f"  {found.listing.mention(broken.file.path)} {broken.reason}"
    if len(found.broken) > _NAMED:
        yield f"  and {len(found.broken) - _NAMED} more (see the JSON)."


def _exact(found: "Audit") -> "Iterator[str]":
    if not found.copies:
        yield "Exact copies: none."
        return
    line = (
        f"Exact copies: {found.distinct} distinct contents in {counted(len(found.images), 'file')}"
    )
    if found.parts:
        line += f"; {found.copies_across_parts()} of them in more than one of " + ", ".join(
            found.parts.names
        )
    yield f"{line}; {found.copies_across_labels()} with more than one label."


def _near(found: "Audit") -> "Iterator[str]":
    members = found.members()
    mixed = sum(found.mixed_labels.values())
    yield (
        f"Near-copies (up to {found.threshold} of 256 bits): "
        f"{counted(int(found.near.sum()), 'image')} with one; {counted(len(members), 'group')}, "
        f"the largest of {counted(max(map(len, members)), 'image')}, "
        f"{len(found.mixed_groups())} with more than one label."
    )
    if mixed:
        pairs = tuple(f"{a} / {b} {n}" for (a, b), n in found.mixed_labels.items())
        yield (
            f"Different labels on near-copies: {counted(mixed, 'pair')} ({_some(pairs)}). "
            "The closest:"
        )
        closest = found.mixed_pairs
        for one, other, bits in list(zip(closest.first, closest.second, closest.bits, strict=True))[
            :3
        ]:
            paths = (found.images[index].file.path for index in (one, other))
            yield f"  {bits} bits: {' and '.join(map(found.listing.mention, paths))}"


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


def _fold_notes(found: "Audit", folds: "Folds") -> "Iterator[str]":
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
            f"folder: {_some(tuple(map(found.listing.mention, table.other_label)))}."
        )


def _verdict(found: "Audit") -> "Iterator[str]":
    for shortcut in found.shortcuts:
        yield f"! Shortcut: {shortcut.text}"
    if not found.shortcuts:
        yield "Shortcuts: no class differs by its border or inset."
    largest = max(map(len, found.members()))
    if largest > max(50, len(found.images) // 10):
        yield (
            f"! One group holds {largest} images: at {found.threshold} bits different views link "
            "up; try a lower --near-bits."
        )
    for earlier, later in found.parts.ways() if found.parts else ():
        if found.parts and found.parts.within(later, earlier, found.threshold):
            yield f"! Leak: a score on {later} counts images that were seen in {earlier}."
    if found.folds and found.folds.share(found.threshold):
        share = _percent(found.folds.share(found.threshold))
        yield f"! Leak: cross-validation over these folds tests on seen images: {share} of all."
    if found.near.any():
        folder = shlex.quote(str(found.listing.root))
        yield (
            "Split so that near-copies stay together: "
            f"endoexit split {folder} --near-bits {found.threshold}"
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


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _paths(paths: tuple[str, ...]) -> str:
    from endoexit.naming import naming

    return naming().shown(_some(paths)) or str(len(paths))
