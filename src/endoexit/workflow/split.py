"""`endoexit.split`: a manifest in which a group of images has one role."""

from collections.abc import Sequence
from pathlib import Path

from endoexit.data.duplicates import DEFAULT_NEAR_BITS
from endoexit.data.folder_split import FolderSplit, SplitOptions, split_folder
from endoexit.data.grouping import Mixed
from endoexit.data.levels import Levels
from endoexit.files import optional_path
from endoexit.progress import Track, silent


def split(
    directory: str | Path,
    *,
    roles: str | None = None,
    seed: int = 0,
    near_bits: int = DEFAULT_NEAR_BITS,
    levels: Levels | None = None,
    groups: str | Path | None = None,
    group_column: str | None = None,
    merge_groups: bool = False,
    mixed: Mixed = "drop",
    from_folders: bool = False,
    drop_leaks: bool = False,
    accept_leak: bool = False,
    exclude: Sequence[str] = (),
    licence: str | None = None,
    source: str | None = None,
    out: str | Path = "manifest.csv",
    track: Track = silent,
) -> FolderSplit:
    """Give each image a role, so that near-copies are never on both sides of a comparison.

    A group (near-copies, or a patient or video) has one role, identical files appear once, and
    the classes are balanced over the roles as well as the groups allow. Files that cannot be read
    are left out and named.

    Args:
        directory: Images in a folder for each class.
        roles: Roles and their shares, such as "train=.8,test=.2". By default train=.6, val=.1,
            calibrate=.1, certify=.1, test=.1. With `from_folders`, what to divide the folder train
            into.
        seed: Random seed for the order of groups.
        near_bits: Number of bits (of 256) up to which the hashes of near-copies differ.
        levels: Meaning of the levels of folders. By default they are recognised.
        groups: CSV file with a group (patient, video) for each image: file, group.
        group_column: Column of `groups` to take. By default group.
        merge_groups: Whether groups of `groups` that near-copies link are joined.
        mixed: What to do with near-copies that have different labels: "drop" those against the
            majority of their group, "keep" them together, or "refuse".
        from_folders: Whether folders named train, val and test give the roles.
        drop_leaks: Whether images that leak into a later folder are left out.
        accept_leak: Whether such images are kept.
        exclude: Patterns of what is left out, such as `masks` or `*_mask.png`.
        licence: Terms of the images. The report names them.
        source: Where the images come from: an address, a citation.
        out: Manifest to write. `<out>.json` says how it was made and what was left out.
        track: Display of progress. By default none.

    Returns:
        The manifest as it was written, and what was left out of it.

    Raises:
        DataError: The folder cannot be split so: too few images or groups, a leak.
        UsageError: The shares cannot be read, or options do not fit together.
        WriteError: The manifest cannot be written.
    """
    options = SplitOptions(
        roles=roles,
        seed=seed,
        near_bits=near_bits,
        levels=levels,
        groups=optional_path(groups),
        group_column=group_column,
        merge_groups=merge_groups,
        mixed=mixed,
        from_folders=from_folders,
        drop_leaks=drop_leaks,
        accept_leak=accept_leak,
        exclude=tuple(exclude),
        licence=licence,
        source=source,
    )
    return split_folder(Path(directory), Path(out), options, track=track)
