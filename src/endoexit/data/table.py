"""Tables that users bring (manifests, groups, folds), however their program wrote them."""

import codecs
import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from endoexit.errors import DataError
from endoexit.files import refuse_lfs_pointer

MAX_BYTES = 512 * 2**20
_DELIMITERS = ",;\t"
_SEPARATOR = re.compile(r'"?sep=([^"\r\n])"?[,;\t]*\s*', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a table.

    Attributes:
        number: Number of the line in the file, from 1, where the row begins.
        fields: Texts of its fields, one a column.
    """

    number: int
    fields: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table with its header.

    Attributes:
        path: File of the table.
        header: Names of the columns, without blanks around them.
        lines: Rows, without empty ones.
    """

    path: Path
    header: tuple[str, ...]
    lines: tuple[Line, ...]

    def column(self, names: Sequence[str]) -> int | None:
        """Return the place of the first of some columns, whatever their capitals.

        Raises:
            DataError: There are two columns of that name.
        """
        known = [name.casefold() for name in self.header]
        for name in (name.strip().casefold() for name in names):
            if known.count(name) > 1:
                raise DataError(f"{self.path} has two columns {name!r}: rename or remove one.")
            if name in known:
                return known.index(name)
        return None

    def where(self, line: Line) -> str:
        """Return file and line, for a message."""
        return f"{self.path}, line {line.number}"


def read_table(path: Path, content: bytes | None = None) -> Table:
    r"""Read a table: fields separated by comma, semicolon or tab, in UTF-8 or UTF-16.

    A byte order mark, any line ends, a line `sep=;` before the header, empty lines, empty columns
    at the end and double quotes are understood.

    Args:
        path: The file.
        content: Its content, where it was read before.

    Raises:
        DataError: It is missing, too large, or no such table; the line is named.
    """
    path = Path(path)
    text = _decode(path, _read(path) if content is None else content)
    lines = text.splitlines(keepends=True)
    start = next((n for n, line in enumerate(lines) if line.strip(' \t\r\n,;"')), len(lines))
    separator = _SEPARATOR.fullmatch(lines[start]) if start < len(lines) else None
    if separator:
        start += 1
    first = next((line for line in lines[start:] if line.strip()), "")
    delimiter = separator[1] if separator else _delimiter(first)
    rows = _rows(path, "".join(lines[start:]), delimiter, start)
    if not rows:
        return Table(path, (), ())
    header = [name.strip() for name in rows[0].fields]
    while header and not header[-1]:
        header.pop()
    return Table(path, tuple(header), tuple(_fit(path, row, header, delimiter) for row in rows[1:]))


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise DataError(f"the table {path} does not exist: check its path.")
    refuse_lfs_pointer(path, DataError)
    if path.stat().st_size > MAX_BYTES:
        raise DataError(f"{path} is larger than {MAX_BYTES >> 20} MiB: not a table of images.")
    return path.read_bytes()


def _decode(path: Path, content: bytes) -> str:
    if content.startswith(b"PK\x03\x04"):
        raise DataError(f"{path} is a workbook or an archive, not a CSV: save it as CSV in UTF-8.")
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(
            f"{path}, line {line}: is not a CSV in UTF-8 ({error.reason}); save it as one."
        ) from error
    if "\0" in text:
        raise DataError(f"{path} is not a CSV in UTF-8 (it has NUL bytes); save it as one.")
    return text


def _delimiter(header: str) -> str:
    plain = re.sub(r'"[^"]*"', "", header)
    return max(_DELIMITERS, key=lambda mark: (plain.count(mark), mark == ","))


def _rows(path: Path, text: str, delimiter: str, skipped: int) -> list[Line]:
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True
    )
    rows, number = [], skipped + 1
    try:
        for fields in reader:
            if any(field.strip() for field in fields):
                rows.append(Line(number, tuple(fields)))
            number = skipped + reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"{path}, line {number}: is not a CSV in UTF-8 ({error}); save it as one."
        ) from error
    return rows


def _fit(path: Path, row: Line, header: Sequence[str], delimiter: str) -> Line:
    width = len(header)
    if len(row.fields) < width or any(field.strip() for field in row.fields[width:]):
        raise DataError(
            f"{path}, line {row.number}: not {width} fields as in the header, but "
            f"{len(row.fields)}; put values that contain {delimiter!r} in double quotes."
        )
    return Line(row.number, row.fields[:width])
