"""Someone else's table on the images: folds, patients, videos."""

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from endoexit.data.folders import ImageFile
from endoexit.errors import DataError
from endoexit.files import refuse_lfs_pointer

FILE_COLUMNS = ("path", "file", "file-name", "file_name", "filename", "image", "name")
LABEL_COLUMNS = ("label", "class", "class-name", "class_name", "finding")
FOLD_COLUMNS = ("fold", "official_fold", "split-index", "split_index", "split")
GROUP_COLUMNS = ("group",)
MAX_BYTES = 512 * 2**20


@dataclass(frozen=True)
class Column:
    """One column of a table, matched to images.

    Attributes:
        table: the file.
        name: the column.
        values: by the path of the image; only images for which the table has one.
        other_label: images to which the table gives another label than their folder.
        rows_without_image: rows that match no image.
    """

    table: Path
    name: str
    values: dict[str, str]
    other_label: tuple[str, ...]
    rows_without_image: int


def read_column(table: Path, files: Sequence[ImageFile], names: Sequence[str]) -> Column:
    """Read a column and match its rows to images.

    A row names its image by the path, by the end of the path (`polyp/a.jpg` for
    `images/polyp/a.jpg`), or by the file's name alone where that is unique, with
    the row's label if need be. Fields are separated by comma, semicolon or tab.

    Args:
        table: a CSV with a header: a file column (`FILE_COLUMNS`), the column that
            is wanted, and perhaps a label column (`LABEL_COLUMNS`).
        files: the images.
        names: names that the wanted column may have; the first found is taken.

    Raises:
        DataError: it is missing or not a CSV, has no such column, fits no image,
            fits several where it names one, or gives one image two values.
    """
    rows = _read_rows(Path(table))
    header = list(rows[0])
    file_column = _find(table, header, FILE_COLUMNS, "names the image")
    column = _find(table, header, names, "was asked for")
    label_column = next((name for name in header if name.lower() in LABEL_COLUMNS), None)
    ends = _index_by_end(files)
    labels = {file.path: file.label for file in files}
    values: dict[str, str] = {}
    other_label, unmatched = [], 0
    for row in rows:
        label = row[label_column] if label_column else ""
        path = _match(table, row[file_column], label, ends)
        if path is None:
            unmatched += 1
            continue
        if row[column] and values.setdefault(path, row[column]) != row[column]:
            raise DataError(
                f"{table} gives {path} two values of {column!r}, {values[path]!r} and "
                f"{row[column]!r}: keep one."
            )
        if label and label != labels[path]:
            other_label.append(path)
    if not values:
        raise DataError(
            f"{table} fits no image: its first row names {rows[0][file_column]!r}, the folder has "
            f"{files[0].path!r}. Give the table of this folder, or correct its column "
            f"{file_column!r}."
        )
    return Column(Path(table), column, values, tuple(other_label), unmatched)


def _read_rows(table: Path) -> list[dict[str, str]]:
    if not table.is_file():
        raise DataError(f"the table {table} does not exist: check its path.")
    refuse_lfs_pointer(table, DataError)
    if table.stat().st_size > MAX_BYTES:
        raise DataError(f"{table} is larger than {MAX_BYTES >> 20} MiB: not a table of images.")
    try:
        text = table.read_text(encoding="utf-8-sig")
        first = text.partition("\n")[0]
        delimiter = Counter(character for character in first if character in ",;\t").most_common(1)
        reader = csv.DictReader(
            io.StringIO(text, newline=""),
            delimiter=delimiter[0][0] if delimiter else ",",
            strict=True,
        )
        rows = []
        for row in reader:
            if None in row or None in row.values():
                raise DataError(
                    f"{table}, line {reader.line_num}: not as many fields as in the header; put "
                    "values that contain a separator in double quotes."
                )
            rows.append({name: value.strip() for name, value in row.items()})
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table} is not a CSV in UTF-8 ({error}); save it as one.") from error
    if not rows:
        raise DataError(f"{table} has no rows: it needs a header and one line for each image.")
    return rows


def _find(table: Path, header: list[str], names: Sequence[str], role: str) -> str:
    for name in names:
        for column in header:
            if column.strip().lower() == name.lower():
                return column
    wanted = " or ".join(repr(name) for name in names)
    raise DataError(
        f"{table} has no column that {role} ({wanted}); it has {', '.join(header)}. Rename one, "
        "or name the right one."
    )


def _index_by_end(files: Sequence[ImageFile]) -> dict[str, list[str]]:
    """Return for each end of a path (`a.jpg`, `polyp/a.jpg`, ...) the paths that have it."""
    ends: defaultdict[str, list[str]] = defaultdict(list)
    for file in files:
        parts = PurePosixPath(file.path).parts
        for start in range(len(parts)):
            ends["/".join(parts[start:])].append(file.path)
    return ends


def _match(table: Path, name: str, label: str, ends: dict[str, list[str]]) -> str | None:
    pure = PurePosixPath(name.replace("\\", "/"))
    for end in (pure.as_posix(), f"{label}/{pure.name}", pure.name):
        found = ends.get(end, [])
        if len(found) == 1 or end in found:
            return found[0] if len(found) == 1 else end
    if found:
        raise DataError(
            f"{table} names {name!r}, which fits {len(found)} images ({found[0]}, {found[1]}): "
            "write paths relative to the folder of images."
        )
    return None
