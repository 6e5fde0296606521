"""What a split does as a whole: a folder of images is read, divided, and written as a manifest."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from endoexit.data.duplicates import DEFAULT_NEAR_BITS
from endoexit.data.folders import Listing, list_images
from endoexit.data.grouping import GroupRules, Mixed
from endoexit.data.levels import Levels
from endoexit.data.manifest import Manifest, write_manifest
from endoexit.data.matching import GROUP_COLUMNS, read_column
from endoexit.data.roles import DEFAULT_ROLES, parse_roles
from endoexit.data.splits import Leaks, Split, split_by_folders, split_by_groups
from endoexit.errors import UsageError
from endoexit.progress import Track, silent


@dataclass(frozen=True)
class SplitOptions:
    """How a folder of images is divided into roles.

    Attributes:
        roles: Roles and their shares, such as "train=.8,test=.2". None for the default shares, or,
            with `from_folders`, for the folders as they are.
        seed: Random seed for the order of groups.
        near_bits: Number of bits up to which the hashes of near-copies differ.
        levels: Meaning of the levels of folders. None to recognise them.
        groups: CSV file with a group (patient, video) for each image.
        group_column: Column of `groups` to take.
        merge_groups: Whether groups of `groups` that near-copies link are joined.
        mixed: What to do with near-copies that have different labels.
        from_folders: Whether folders named train, val and test give the roles.
        drop_leaks: Whether images that leak into a later folder are left out.
        accept_leak: Whether such images are kept.
        exclude: Patterns of what is left out.
        licence: Terms of the images.
        source: Where the images come from.

    Raises:
        UsageError: An option has no effect without another one, or contradicts it.
    """

    roles: str | None = None
    seed: int = 0
    near_bits: int = DEFAULT_NEAR_BITS
    levels: Levels | None = None
    groups: Path | None = None
    group_column: str | None = None
    merge_groups: bool = False
    mixed: Mixed = "drop"
    from_folders: bool = False
    drop_leaks: bool = False
    accept_leak: bool = False
    exclude: tuple[str, ...] = ()
    licence: str | None = None
    source: str | None = None

    def __post_init__(self) -> None:
        for option, needed in (
            ("group_column", "groups"),
            ("merge_groups", "groups"),
            ("drop_leaks", "from_folders"),
            ("accept_leak", "from_folders"),
        ):
            if getattr(self, option) and not getattr(self, needed):
                how, what = (f"--{name.replace('_', '-')}" for name in (option, needed))
                raise UsageError(f"{how} says how to use {what}: give {what} too.")
        if self.drop_leaks and self.accept_leak:
            raise UsageError("--drop-leaks and --accept-leak exclude each other: choose one.")
        for name, text in self._terms():
            if not text:
                raise UsageError(f"--{name} is empty: write a text, or leave it out.")

    @property
    def shares(self) -> dict[str, float] | None:
        """Share of each role; None where the folders are the roles as they are.

        Raises:
            UsageError: `roles` cannot be read.
        """
        asked = self.roles or (None if self.from_folders else DEFAULT_ROLES)
        return parse_roles(asked) if asked else None

    @property
    def leaks(self) -> Leaks:
        """What is done with images that leak from one folder into another."""
        return "drop" if self.drop_leaks else "accept" if self.accept_leak else "refuse"

    def facts(self) -> dict[str, Any]:
        """Return as JSON values how the split was made."""
        options = asdict(self) | {
            "groups": str(self.groups) if self.groups else None,
            "exclude": list(self.exclude),
        }
        return {
            "made_by": "endoexit split",
            "options": {name: options[name] for name in options if name not in _TERMS},
            "seed": self.seed,
            "roles": self.shares,
            "threshold_bits": self.near_bits,
            **dict(self._terms()),
        }

    def _terms(self) -> list[tuple[str, str]]:
        values = ((name, getattr(self, name)) for name in _TERMS)
        return [(name, value.strip()) for name, value in values if value is not None]


_TERMS = ("licence", "source")


@dataclass(frozen=True, eq=False)
class FolderSplit:
    """A folder that was split.

    Attributes:
        manifest: Manifest as it was written.
        split: Rows of the manifest, and what was left out.
        listing: Files of the folder.
        options: How the folder was divided.
        facts: What the sidecar of the manifest says.
    """

    manifest: Manifest
    split: Split
    listing: Listing
    options: SplitOptions
    facts: Mapping[str, Any]


def split_folder(
    directory: Path, out: Path, options: SplitOptions, *, track: Track = silent
) -> FolderSplit:
    """Give each image of a folder a role, and write the manifest with its sidecar.

    Args:
        directory: Images in a folder for each class.
        out: Manifest to write.
        options: See `SplitOptions`.
        track: Shows progress.

    Raises:
        DataError: The folder cannot be split so; see `split_by_groups` and `split_by_folders`.
        UsageError: The shares cannot be read, or the column of groups does not fit.
        WriteError: The manifest cannot be written.
    """
    shares = options.shares
    listing = list_images(directory, options.exclude, options.levels)
    names = (options.group_column,) if options.group_column else GROUP_COLUMNS
    column = read_column(options.groups, listing.files, names) if options.groups else None
    rules = GroupRules(options.near_bits, column, options.merge_groups, options.mixed)
    with track("Reading images", len(listing.files)) as bar:
        if options.from_folders:
            split = split_by_folders(
                listing,
                rules,
                leaks=options.leaks,
                train_shares=shares,
                seed=options.seed,
                advance=bar.advance,
            )
        else:
            split = split_by_groups(
                listing, shares or {}, rules, seed=options.seed, advance=bar.advance
            )
    facts = {**options.facts(), "levels": listing.levels, **split.facts(listing)}
    manifest = write_manifest(out, split.rows, listing.root, facts)
    return FolderSplit(manifest, split, listing, options, facts)
