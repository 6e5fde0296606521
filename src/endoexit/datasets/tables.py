"""The authors' tables on the images of a folder: folds, and HyperKvasir's CSV of labels.

The tables name some classes otherwise than the folders (`normal-cecum` for `cecum`), the fold
files are separated by semicolons, and the CSV of labels names files without their suffix.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from endoexit.data.matching import FILE_COLUMNS, FOLD_COLUMNS, LABEL_COLUMNS
from endoexit.data.table import Table, read_table
from endoexit.datasets.layouts import Recognised, names_of, plain
from endoexit.errors import DataError, some
from endoexit.files import write_csv
from endoexit.images.formats import IMAGE_SUFFIXES

LABELS = "image-labels.csv"
FOLDS = ("2_fold_split.csv", "5_fold_split.csv", "folds.csv")
_FILES = ("video file", *FILE_COLUMNS)  # the CSV of labels calls its images so
_LABELS = ("finding", *LABEL_COLUMNS)
_ENOUGH = 0.9  # of the images, or the table is of another release


@dataclass(frozen=True)
class OfficialFolds:
    """The authors' folds of the images of a folder.

    Attributes:
        table: File that they were read from.
        folds: Folds by the paths of the images, relative to the folder.
        contradicting: Paths of images that the table gives another class than their folder.
    """

    table: Path
    folds: dict[str, str]
    contradicting: tuple[str, ...]

    def write(self, path: Path, recognised: Recognised) -> None:
        """Write them as `endoexit audit --folds` reads them: path, label, fold."""
        labels = {file.path: file.label for file in recognised.listing.files}
        rows = ((name, labels[name], fold) for name, fold in self.folds.items())
        write_csv(path, ("path", "label", "fold"), rows)


def find_folds(directory: Path) -> Path | None:
    """Return the table of folds that is in a folder, next to it, or in `official_splits`."""
    directory = Path(directory).absolute()
    places = (directory, directory / "official_splits", directory.parent,
              directory.parent / "official_splits")  # fmt: skip
    files = (place / name for place in places for name in FOLDS)
    return next((file for file in files if file.is_file()), None)


def read_folds(path: Path, recognised: Recognised) -> OfficialFolds:
    """Read a table of folds and match it to the images by name.

    Args:
        path: The table: file, class, fold.
        recognised: The images.

    Raises:
        DataError: It is no such table, names an image twice with different folds, or is of
            another release: it has no fold for many of the images.
    """
    table = read_table(path)
    file, fold = (
        _column(table, names, what)
        for names, what in ((_FILES, "names the image"), (FOLD_COLUMNS, "has the fold"))
    )
    label = table.column(_LABELS)
    listed: dict[str, tuple[str, str]] = {}
    for line in table.lines:
        name = _stem(line.fields[file])
        value = (line.fields[fold].strip(), "" if label is None else line.fields[label])
        if listed.setdefault(name, value)[0] != value[0]:
            raise DataError(
                f"{table.where(line)}: gives {line.fields[file]} two folds, {listed[name][0]!r} "
                f"and {value[0]!r}: keep one."
            )
    files = recognised.listing.files
    folds = {image.path: listed[_stem(image.path)][0] for image in files
             if listed.get(_stem(image.path), ("",))[0]}  # fmt: skip
    if len(folds) < _ENOUGH * len(files):
        first = next(image.path for image in files if image.path not in folds)
        raise DataError(
            f"{path} is of another release, or the images were renamed: it has a fold for "
            f"{len(folds)} of {len(files)} images of {recognised.listing.root} and none for "
            f"{first}. Take the table that the authors publish for "
            f"{recognised.release.title}, or go without."
        )
    contradicting = [
        image.path
        for image in files
        if image.path in folds and _differs(recognised, image.label, listed[_stem(image.path)][1])
    ]
    return OfficialFolds(Path(path), folds, tuple(contradicting))


def label_notes(recognised: Recognised) -> Iterator[str]:
    """Yield what the authors' CSV of labels, where it is in the folder, says against the folders.

    Raises:
        DataError: It is no such table.
    """
    root = recognised.listing.root
    for path in sorted(
        {*root.glob(LABELS), *root.glob(f"*/{LABELS}"), *root.glob(f"*/*/{LABELS}")}
    ):
        table = read_table(path)
        file = _column(table, _FILES, "names the image")
        label = _column(table, _LABELS, "has the finding")
        said = {_stem(line.fields[file]): line.fields[label] for line in table.lines}
        files = recognised.listing.files
        known = [image for image in files if _stem(image.path) in said]
        differing = [
            image.path
            for image in known
            if _differs(recognised, image.label, said[_stem(image.path)])
        ]
        if differing:
            yield (
                f"{path} gives another class than the folder for {len(differing)}: "
                f"{some(differing)}."
            )
        if len(known) < len(files):
            yield f"{path} has no row for {len(files) - len(known)} of {len(files)} images."


def _differs(recognised: Recognised, folder: str, said: str) -> bool:
    """Return whether a table names another class than the folder, whatever name it uses."""
    if not said.strip():
        return False
    return names_of(recognised.release).get(plain(said)) != recognised.classes[folder]


def _column(table: Table, names: tuple[str, ...], what: str) -> int:
    place = table.column(names)
    if place is None:
        raise DataError(
            f"{table.path} has no column that {what} ({', '.join(names[:5])}); it has "
            f"{', '.join(table.header)}: give the authors' table."
        )
    return place


def _stem(name: str) -> str:
    """Return the name of a file without its folders and suffix, as both tables have it."""
    path = PurePosixPath(name.strip().replace("\\", "/"))
    image = path.suffix.casefold() in IMAGE_SUFFIXES
    return (path.stem if image else path.name).casefold()
