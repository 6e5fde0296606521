"""`endoexit split`: a manifest in which a group of images has one role."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

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
    from collections.abc import Iterator, Mapping

    from rich.table import Table

    from endoexit.data.folder_split import FolderSplit
    from endoexit.data.folders import Listing
    from endoexit.data.manifest import Manifest
    from endoexit.data.splits import Split

_NAMED = 5  # so many files are named on the screen; all of them are in the sidecar


def split(
    directory: Annotated[Path, typer.Argument(help="Images in a folder for each class.")],
    *,
    roles: Annotated[
        str | None,
        typer.Option(
            help="Roles and their shares; by default train=.6,val=.1,calibrate=.1,certify=.1,"
            "test=.1. With --from-folders: what to divide the folder train into.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed for the order of groups.")] = 0,
    near_bits: NearBitsOption = None,
    threshold: OldNearBitsOption = None,
    levels: LevelsOption = None,
    groups: Annotated[
        Path | None,
        typer.Option(help="CSV with a group (patient, video) for each image: file, group."),
    ] = None,
    group_column: Annotated[
        str | None,
        typer.Option(help="The column of --groups to take; by default group."),
    ] = None,
    merge_groups: Annotated[
        bool,
        typer.Option("--merge-groups", help="Join groups of --groups that near-copies link."),
    ] = False,
    mixed: Annotated[
        Literal["drop", "keep", "refuse"],
        typer.Option(
            help="Near-copies with different labels: drop those against the majority of their "
            "group, keep them together, or refuse."
        ),
    ] = "drop",
    from_folders: Annotated[
        bool,
        typer.Option("--from-folders", help="Take the roles from folders train, val, test."),
    ] = False,
    drop_leaks: Annotated[
        bool,
        typer.Option("--drop-leaks", help="With --from-folders: leave out what leaks forward."),
    ] = False,
    accept_leak: Annotated[
        bool, typer.Option("--accept-leak", help="With --from-folders: keep the leak.")
    ] = False,
    exclude: Annotated[
        list[str] | None,
        typer.Option(help="Leave out what matches, such as 'masks' or '*_mask.png'; repeatable."),
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option(help='Terms of the images, such as "CC BY 4.0"; the report names them.'),
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="Source of the images: an address, a citation.")
    ] = None,
    out: Annotated[Path, typer.Option(help="File for the manifest.")] = Path("manifest.csv"),
    names: NamesOption = "path",
    names_key: NamesKeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give each image a role, so that near-copies are never on both sides of a comparison.

    A group (near-copies, or a patient or video from --groups or from folders) has one
    role, identical files appear once, and the classes are balanced over the roles as
    well as the groups allow. Files that cannot be read are left out and named.
    `manifest.csv.json` says how the manifest was made and what was left out. With
    `--names`, the manifest alone has paths of images.

    Example: `endoexit split kvasir --roles train=.7,val=.1,test=.2 --out kvasir.csv`
    """
    name_images(names, names_key)
    from endoexit.workflow.split import split as split_images

    output = Output(as_json)
    made = split_images(
        directory,
        roles=roles,
        seed=seed,
        near_bits=choose_near_bits(near_bits, threshold),
        levels=levels,
        groups=groups,
        group_column=group_column,
        merge_groups=merge_groups,
        mixed=mixed,
        from_folders=from_folders,
        drop_leaks=drop_leaks,
        accept_leak=accept_leak,
        exclude=exclude or (),
        licence=licence,
        source=source,
        out=out,
        track=progress,
    )
    _show(output, made, out)
    document = {
        "manifest": str(out),
        "sha256": made.manifest.sha256,
        "counts": made.manifest.counts(),
    }
    output.document({**document, **made.facts})


def _show(output: Output, made: "FolderSplit", path: Path) -> None:
    listing, division, options = made.listing, made.split, made.options
    for note in listing.notes:
        output.warn(note)
    if division.leak:
        output.warn(f"the folders of {listing.root} leak: {division.leak}.")
    output.say(
        f"{listing.root}: {len(division.rows)} of {counted(len(listing.files), 'file')}, "
        f"classes: {len(listing.classes)}",
        *_left_out(division, listing),
    )
    several = division.mixed_groups()
    if options.mixed == "keep" and options.groups is None and several:
        output.say(f"Kept together: {counted(several, 'group')} with different labels.")
    shares = None if options.from_folders else options.shares
    output.say(_role_table(made.manifest, division, shares))
    for role, counts in made.manifest.counts().items():
        for label in (name for name, count in counts.items() if count == 0):
            output.warn(f"{role} has no image of {label!r}.")
    output.say(
        f"Written: {path} ({counted(len(division.rows), 'image')}) and {path}.json (how it was "
        "made).",
        f"Next: endoexit train {path}",
    )


def _left_out(made: "Split", listing: "Listing") -> "Iterator[str]":
    if made.broken:
        yield f"Left out, cannot be used: {counted(len(made.broken), 'file')}:"
        for broken in made.broken[:_NAMED]:
            yield f"  {listing.mention(broken.file.path)} {broken.reason}"
        if len(made.broken) > _NAMED:
            yield f"  and {len(made.broken) - _NAMED} more"
    for paths, why in (
        (made.mixed, "near-copies with different labels"),
        (made.leaking, "near-copies of images in a later role"),
        (made.copies, "identical to one that stays"),
    ):
        if paths:
            named = ", ".join(map(listing.mention, paths[:2])) + (", ..." if len(paths) > 2 else "")
            yield f"Left out, {why}: {counted(len(paths), 'file')} ({named})"


def _role_table(
    manifest: "Manifest", made: "Split", shares: "Mapping[str, float] | None"
) -> "Table":
    from rich import box
    from rich.table import Table

    counts, last = manifest.counts(), manifest.classes[-1]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("class", overflow="fold")
    for name in (*counts, "all"):
        table.add_column(name, justify="right")
    for label in manifest.classes:
        of_class = [counts[role][label] for role in counts]
        table.add_row(label, *map(str, of_class), str(sum(of_class)), end_section=label == last)
    totals = [sum(counts[role].values()) for role in counts]
    table.add_row("images", *map(str, totals), str(sum(totals)))
    table.add_row("share", *(f"{100 * total / sum(totals):.1f} %" for total in totals), "")
    if shares:
        table.add_row("asked for", *(f"{100 * shares[role]:.1f} %" for role in counts), "")
    groups = made.groups()
    table.add_row("groups", *(str(groups[role]) for role in counts), str(sum(groups.values())))
    return table
