"""A column of a user's table on the images of a folder: folds, patients, videos."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

from endoexit.data.folders import ImageFile
from endoexit.data.labels import clean_label, number_form, spelling
from endoexit.data.table import Line, Table, read_table
from endoexit.errors import DataError
from endoexit.naming import naming

FILE_COLUMNS = ("path", "file", "file-name", "file_name", "filename", "image", "name")
LABEL_COLUMNS = ("label", "class", "class-name", "class_name", "finding")
FOLD_COLUMNS = ("fold", "official_fold", "split-index", "split_index", "split")
GROUP_COLUMNS = ("group",)


@dataclass(frozen=True)
class Column:
    """One column of a table, matched to images.

    Attributes:
        table: File of the table.
        name: Name of the column.
        values: Values by the path of the image, for images of which the table has one.
        other_label: Paths of images to which the table gives another label than their folder.
        rows_without_image: Number of rows that match no image.
    """

    table: Path
    name: str
    values: dict[str, str]
    other_label: tuple[str, ...]
    rows_without_image: int


def read_column(path: Path, files: Sequence[ImageFile], names: Sequence[str]) -> Column:
    r"""Read a column and match its rows to images.

    A row may name its image by any path that ends like the image's: `polyp/a.jpg` for
    `images/polyp/a.jpg`, also `D:\study\polyp\a.jpg`. The longest end that an image has
    decides; where several have it, the row's label does.

    Args:
        path: A table (see `read_table`) with a column that names the image (`FILE_COLUMNS`), the
            column that is wanted, and perhaps a label (`LABEL_COLUMNS`).
        files: The images.
        names: Names that the wanted column may have; the first one that exists is taken.

    Raises:
        DataError: It is no table, has no such column, fits no image, fits several where it names
            one, or gives one image two values.
    """
    table = read_table(path)
    if not table.lines:
        raise DataError(f"{path} has no rows: it needs a header and one line for each image.")
    file_column = _find(table, FILE_COLUMNS, "names the image")
    column = _find(table, names, "was asked for")
    label_column = table.column(LABEL_COLUMNS)
    name = table.header[column]
    labels = {file.path: file.label for file in files}
    places = {file.path: place for place, file in enumerate(files)}
    images = _Images(files)
    values: dict[str, str] = {}
    other_label, unmatched = [], 0
    for line in table.lines:
        label = "" if label_column is None else clean_label(line.fields[label_column])
        image = images.match(table, line, line.fields[file_column], label)
        if image is None:
            unmatched += 1
            continue
        value = clean_label(line.fields[column])
        if value and values.setdefault(image, value) != value:
            raise DataError(
                f"{table.where(line)}: gives {naming().mention(image, places[image])} two values "
                f"of {name!r}{naming().shown(f', {values[image]!r} and {value!r}')}: keep one."
            )
        if label and spelling(label) != spelling(labels[image]):
            other_label.append(image)
    if not values:
        raise DataError(
            f"{path} fits no image{naming().shown(_unlike(table, file_column, files[0]))}. Give "
            f"the table of this folder, or correct its column {table.header[file_column]!r}."
        )
    _check_numbers(table, name, values)
    return Column(Path(path), name, values, tuple(other_label), unmatched)


def _unlike(table: Table, file_column: int, file: ImageFile) -> str:
    named = table.lines[0].fields[file_column]
    return f": its first row names {named!r}, the folder has {file.path!r}"


def _find(table: Table, names: Sequence[str], role: str) -> int:
    place = table.column(names)
    if place is None:
        wanted = " or ".join(repr(name) for name in names)
        raise DataError(
            f"{table.path} has no column that {role} ({wanted}); it has "
            f"{', '.join(table.header)}. Rename one, or name the right one."
        )
    return place


def _check_numbers(table: Table, name: str, values: dict[str, str]) -> None:
    forms: dict[str, str] = {}
    for value in values.values():
        first = forms.setdefault(number_form(value), value)
        if first != value:
            two = naming().shown(f" {first!r} and {value!r}") or " two values"
            raise DataError(
                f"{table.path}: column {name!r} has{two}, which a spreadsheet may have made of "
                "one number: write it in one way."
            )


class _Images:
    """Images by every end of their paths, accents composed and capitals ignored."""

    def __init__(self, files: Sequence[ImageFile]) -> None:
        self._ends: defaultdict[tuple[str, ...], list[ImageFile]] = defaultdict(list)
        self._classes = {spelling(file.label) for file in files}
        for file in files:
            for end in _ends(_parts(file.path, posix=True)):
                self._ends[end].append(file)

    def match(self, table: Table, line: Line, name: str, label: str) -> str | None:
        """Return the path of the image that a row names; None where there is none."""
        posix = self._candidates(_parts(name, posix=True))
        end, fitting = posix if posix[1] else self._candidates(_parts(name, posix=False))
        whole = _composed(name)
        for narrowed in (
            [file for file in fitting if _composed(file.path) == whole],
            [file for file in fitting if _parts(file.path, posix=True) == end],
            [file for file in fitting if _composed(file.path).endswith(whole)],
            [file for file in fitting if label and spelling(file.label) == spelling(label)],
        ):
            if len(fitting) > 1 and narrowed:
                fitting = narrowed
        if len(fitting) > 1:
            examples = naming().shown(f" ({fitting[0].path}, {fitting[1].path})")
            raise DataError(
                f"{table.where(line)}: names {naming().shown(f'{name!r}, which fits ')}"
                f"{len(fitting)} images{examples}: "
                "write paths relative to the folder of images."
            )
        return fitting[0].path if fitting else None

    def _candidates(self, parts: tuple[str, ...]) -> tuple[tuple[str, ...], list[ImageFile]]:
        for end in _ends(parts):
            fitting = self._ends.get(end, [])
            above = parts[-len(end) - 1] if len(end) < len(parts) else ""
            if fitting and len(end) == 1 and spelling(above) in self._classes:
                # The row's folder is a class: an image of another class is not meant.
                fitting = [file for file in fitting if spelling(file.label) == spelling(above)]
            if fitting:
                return end, fitting
        return (), []


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text).strip().replace("\\", "/")


def _parts(path: str, *, posix: bool) -> tuple[str, ...]:
    text = unicodedata.normalize("NFC", path).strip().casefold()
    pure = PurePosixPath(text) if posix else PureWindowsPath(text)
    return tuple(part for part in pure.parts if part != pure.anchor)


def _ends(parts: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for start in range(len(parts)):
        yield parts[start:]
