"""The rows of a manifest: reading them from a CSV, and the rules that they keep."""

import csv
import difflib
import io
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from endoexit.errors import DataError
from endoexit.images.reference import name_of

ROLES = ("train", "val", "calibrate", "certify", "test")
COLUMNS = ("path", "label", "group", "role")
FRAME = "frame"  # a further column, where an image is not the first frame of its file
_NAMED = 5  # so many offenders are named in an error, the rest is counted


@dataclass(frozen=True, slots=True)
class Row:
    """One image of a manifest.

    Attributes:
        path: relative to the root of the data, with forward slashes.
        label: the name of its class.
        group: images that belong together share it.
        role: one of `ROLES`.
        frame: Number of the frame in its file, from 0; 0 for a still.
    """

    path: str
    label: str
    group: str
    role: str
    frame: int = 0

    @property
    def name(self) -> str:
        """Text of the image, relative to the root: `polyps/a.jpg`, `clip.gif#12`."""
        return name_of(self.path, self.frame)


def parse_rows(path: Path, content: bytes) -> list[Row]:
    """Return the rows of a manifest, each with all its fields.

    Raises:
        DataError: It is no such table; the line is named.
    """
    try:
        reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        header = reader.fieldnames or []
        _check_header(path, header)
        rows = []
        for record in reader:
            if None in record or None in record.values():
                raise DataError(
                    f"{path}, line {reader.line_num}: not {len(header)} fields as in the header; "
                    "put values that contain a comma in double quotes."
                )
            fields = {name: record[name] for name in COLUMNS}
            empty = [name for name, value in fields.items() if not value.strip()]
            if empty:
                raise DataError(
                    f"{path}, line {reader.line_num}: empty {empty[0]}; fill it in or remove the "
                    "line (an image that belongs with no other is a group of its own)."
                )
            fields["path"] = _clean(path, fields["path"], reader.line_num)
            frame = _frame(path, record.get(FRAME) or "0", reader.line_num)
            rows.append(Row(**fields, frame=frame))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not a CSV in UTF-8 ({error}); save it as one.") from error
    if not rows:
        raise DataError(f"{path} names no image: make it again with `endoexit split DIR`.")
    return rows


def _check_header(path: Path, header: Sequence[str]) -> None:
    missing = [name for name in COLUMNS if name not in header]
    if len(missing) == len(COLUMNS):
        raise DataError(
            f"{path} has no header: its first line must be {','.join(COLUMNS)!r}; add it, or make "
            "a manifest with `endoexit split DIR`."
        )
    if missing:
        raise DataError(
            f"{path} has no column {', '.join(missing)} (it has {', '.join(header)}): a manifest "
            f"needs {', '.join(COLUMNS)}; add it, or make a manifest with `endoexit split DIR`."
        )


def _clean(path: Path, name: str, line: int) -> str:
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts:
        raise DataError(
            f"{path}, line {line}: path {name!r} leaves the data root; write paths relative to "
            "the root, without '..'."
        )
    return pure.as_posix()


def _frame(path: Path, text: str, line: int) -> int:
    if not (text.strip() or "0").isdecimal():
        raise DataError(
            f"{path}, line {line}: the frame {text!r} is no number from 0: write the position of "
            "the frame in its file, or leave the field empty for a still."
        )
    return int(text.strip() or "0")


def check_rows(path: Path, rows: Sequence[Row], classes: Sequence[str] | None) -> None:
    """Refuse rows that break a rule: unknown roles and labels, groups with two roles, repetitions.

    Raises:
        DataError: A rule is broken.
    """
    roles: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.role not in ROLES:
            near = difflib.get_close_matches(row.role, ROLES, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(ROLES)}."
            raise DataError(f"{path}: unknown role {row.role!r} of {row.path}: {hint}")
        roles[row.group].add(row.role)
    leaking = [
        f"{group!r} ({', '.join(sorted(found))})"
        for group, found in roles.items()
        if len(found) > 1
    ]
    if leaking:
        raise DataError(
            f"{path}: a group has more than one role: {some(leaking)}. Images of one group would "
            "stand on both sides of a comparison: give each group one role, or split again with "
            "`endoexit split DIR --groups`."
        )
    repeated = [name for name, n in Counter(row.name for row in rows).items() if n > 1]
    if repeated:
        raise DataError(
            f"{path}: a path stands more than once: {some(repeated)}; keep one line for each image."
        )
    if classes is not None:
        unknown = sorted({row.label for row in rows} - set(classes))
        if unknown:
            raise DataError(
                f"{path}: unknown label {some([repr(name) for name in unknown])}; known are "
                f"{', '.join(classes)}. Rename the label, remove its lines, or train on this "
                "manifest."
            )


def some(names: Sequence[str]) -> str:
    """Return the first few names, and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
