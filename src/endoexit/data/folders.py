"""Folders of images: which file has which label.

The class of an image is the name of the folder that it is in; of `class/patient/image`
it is the upper folder, and the lower one is the image's group (`levels.py`). Levels above
may group the classes
(`lower-gi-tract/polyps`) or hold someone's own split
(`train`, `val`, `test`, also `training`, `valid`, `validation`, `testing`,
`calibrate`, `certify`). A folder `images` is a level without meaning: it is
skipped, and the folders next to it (`masks`, annotations) are not read. Files whose
suffix is no image's, and whose content is not DICOM, are passed over and named.
"""

import fnmatch
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from endoexit.data.clutter import PassedOver, is_clutter, is_image
from endoexit.data.levels import Levels, Placed, choose_levels, label_and_group, level_notes
from endoexit.errors import DataError, UsageError, counted
from endoexit.naming import naming

PARTS = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val",
    "calibrate": "calibrate", "certify": "certify",
    "test": "test", "testing": "test",
}  # fmt: skip
_IMAGES = "images"


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A file in the folder of a class; its content is not known yet.

    Attributes:
        path: Path relative to the root, with forward slashes.
        label: Name of its class.
        part: Role that its folders give it, such as "train"; "" when none does.
        group: Group that its folders give it, such as a patient; "" when none does.
    """

    path: str
    label: str
    part: str = ""
    group: str = ""


@dataclass(frozen=True)
class Listing:
    """What a folder of images holds.

    Attributes:
        root: Folder, absolute.
        files: Labelled files, in natural order (`a2` before `a10`).
        beside_images: Folders that were not read, as they are next to `images`.
        excluded: Files and folders that the user excluded.
        unlabelled: Images outside any class folder.
        empty: Class folders without an image.
        levels: Meaning that the last two levels of folders were given.
        notes: Sentences on what was passed over, and on what folders were taken for.
        passed_over: Files that are no images by their suffix, as JSON values.
    """

    root: Path
    files: tuple[ImageFile, ...]
    beside_images: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    unlabelled: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()
    levels: Levels = "class"
    notes: tuple[str, ...] = ()
    passed_over: tuple[dict[str, Any], ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, sorted."""
        return tuple(sorted({file.label for file in self.files}))

    @property
    def parts(self) -> tuple[str, ...]:
        """The roles that folders are named after, in the order of `PARTS`."""
        present = {file.part for file in self.files}
        return tuple(part for part in dict.fromkeys(PARTS.values()) if part in present)

    def name(self, path: str) -> str:
        """Return the name of a labelled file for a row; see `endoexit.naming`."""
        return naming().name(path, self._places[path])

    def mention(self, path: str) -> str:
        """Return the name of a labelled file for a sentence."""
        return naming().mention(path, self._places[path])

    def mention_group(self, group: str, path: str) -> str:
        """Return the name of a group for a sentence, with the path of a labelled file of it."""
        return naming().mention_group(group, self._places[path])

    @cached_property
    def _places(self) -> dict[str, int]:
        return {file.path: place for place, file in enumerate(self.files)}


def list_images(
    directory: Path, exclude: Sequence[str] = (), levels: Levels | None = None
) -> Listing:
    """List the labelled files of a tree with a folder for each class.

    Hidden files and folders, and those that systems leave behind, are skipped. Links are
    followed, except into a folder above them. The order does not depend on the file system.

    Args:
        directory: Top of the tree.
        exclude: Shell patterns (`masks`, `*_mask.png`, `polyp/old/*`); a file or
            folder whose name or path relative to `directory` matches is left out.
        levels: Meaning of the last two levels of folders; by default `choose_levels` decides.

    Raises:
        DataError: The folder is missing or has no class folder with a file in it,
            or a name in it is not text.
        UsageError: A pattern matches nothing.
    """
    root = Path(directory)
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "does not exist"
        raise DataError(f"the folder of images {root} {what}: check its path.")
    walk = _Walk(root.resolve(), tuple(exclude))
    placed = sorted(walk.files(PurePosixPath()), key=lambda file: natural_key(file.path))
    unused = [pattern for pattern in exclude if pattern not in walk.used]
    if unused:
        raise UsageError(
            f"--exclude {unused[0]!r} matches nothing in {root}: correct the pattern or leave it "
            "out."
        )
    if not placed:
        outside = (
            f" ({counted(len(walk.unlabelled), 'image')} outside one)" if walk.unlabelled else ""
        )
        raise DataError(
            f"{root} has no class folder with images{outside}: put the images of each class into a "
            "folder named after it."
        )
    meaning = levels or choose_levels(placed)
    if not any(len(file.levels) > 1 for file in placed) and levels not in (None, "class"):
        raise UsageError(
            f"--levels {levels} needs folders inside the folders of {root}, but there is one level "
            "with images: leave it out."
        )
    notes = list(level_notes(placed, meaning, levels))
    if walk.passed_over:
        notes.append(f"{walk.passed_over.words()}.")
    return Listing(
        root=walk.root,
        files=tuple(_labelled(file, meaning, asked=levels is not None) for file in placed),
        levels=meaning,
        notes=tuple(notes),
        passed_over=tuple(walk.passed_over.document()),
        beside_images=_in_order(walk.beside_images),
        excluded=_in_order(walk.excluded),
        unlabelled=_in_order(walk.unlabelled),
        empty=_in_order(walk.empty),
    )


def _labelled(file: Placed, meaning: Levels, *, asked: bool) -> ImageFile:
    label, group = label_and_group(file.levels, meaning, asked=asked)
    return ImageFile(file.path, label, file.part, group)


def natural_key(path: str) -> tuple[list[tuple[int, int, str]], str]:
    """Return a sort key that puts `a2/b` before `a10/b`, and ties in the order of the text."""
    pieces = re.split(r"(\d+)", path.replace("/", "\0").casefold())
    return [(0, int(p), "") if p.isdecimal() else (1, 0, p) for p in pieces if p], path


class _Walk:
    """One walk through a tree, and what it met on its way."""

    def __init__(self, root: Path, exclude: tuple[str, ...]) -> None:
        self.root, self.exclude = root, exclude
        self.used: set[str] = set()
        self.beside_images: list[str] = []
        self.excluded: list[str] = []
        self.unlabelled: list[str] = []
        self.empty: list[str] = []
        self.passed_over = PassedOver()

    def files(
        self, folder: PurePosixPath, above: frozenset[Path] = frozenset()
    ) -> Iterator[Placed]:
        """Yield the labelled files at and under `folder` (relative to the root)."""
        here = self.root / folder
        if here.resolve() in above:
            return
        names = [entry.name for entry in self._entries(here, folder)]
        folders = [name for name in names if (here / name).is_dir()]
        files = [name for name in names if name not in set(folders)]
        yield from self._label(folder, files, has_folders=bool(folders))
        levels = [name for name in folders if name.lower() == _IMAGES]
        if levels:
            self.beside_images += [str(folder / name) for name in folders if name not in levels]
            folders = levels
        for name in folders:
            yield from self.files(folder / name, above | {here.resolve()})

    def _entries(self, here: Path, folder: PurePosixPath) -> Iterator[Path]:
        try:
            entries = sorted(here.iterdir())
        except OSError as error:
            raise DataError(
                f"{naming().shown(here) or 'a folder'} cannot be read ({error.strerror or error}): "
                "change its permissions, or leave it out with --exclude."
            ) from error
        for entry in entries:
            if is_clutter(entry.name):
                continue
            path = str(folder / entry.name)
            _check_text(path)
            matching = [
                pattern
                for pattern in self.exclude
                if fnmatch.fnmatchcase(entry.name, pattern) or fnmatch.fnmatchcase(path, pattern)
            ]
            if matching:
                self.used.update(matching)
                self.excluded.append(path)
            else:
                yield entry

    def _label(
        self, folder: PurePosixPath, names: list[str], has_folders: bool
    ) -> Iterator[Placed]:
        part, levels = "", []
        for level in folder.parts:
            if not part and level.lower() in PARTS:
                part = PARTS[level.lower()]
            elif level.lower() != _IMAGES:
                levels.append(level)
        images = [name for name in names if is_image(self.root / folder / name)]
        if levels:
            for name in sorted(set(names).difference(images)):
                self.passed_over.add(str(folder / name))
        if not levels:
            self.unlabelled += [str(folder / name) for name in images]
            return
        for name in images:
            yield Placed(str(folder / name), tuple(levels), part)
        if not images and not has_folders:
            self.empty.append(str(folder))


def _check_text(path: str) -> None:
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{f'the name {naming().shown(repr(path))}'.rstrip()} of a file is not valid UTF-8 "
            "and cannot be in a manifest: rename it."
        ) from error


def _in_order(paths: list[str]) -> tuple[str, ...]:
    return tuple(sorted(paths, key=natural_key))
