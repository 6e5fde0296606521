"""The rows of a manifest: reading them from a CSV, and the rules that they keep."""

import difflib
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from endoexit.data.finding import Finder
from endoexit.data.labels import clean_label, label_among, number_form, spelling
from endoexit.data.table import read_table
from endoexit.errors import DataError, some
from endoexit.images.reference import name_of
from endoexit.naming import naming

ROLES = ("train", "val", "calibrate", "certify", "test")
COLUMNS = ("path", "label", "group", "role")
FRAME = "frame"  # a further column, where an image is not the first frame of its file


@dataclass(frozen=True, slots=True)
class ManifestRow:
    """One image of a manifest.

    Attributes:
        path: Path relative to the root of the data, with forward slashes.
        label: Name of its class.
        group: Name of its group, which images that belong together share.
        role: Role of the image, one of `ROLES`.
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


def parse_rows(
    path: Path, content: bytes, finder: Finder, classes: Sequence[str] | None
) -> list[ManifestRow]:
    """Return the rows of a manifest, each with all its fields.

    Args:
        path: File of the manifest.
        content: Its content.
        finder: Finds the images.
        classes: Classes that a network knows; None to take those of the manifest.

    Raises:
        DataError: It is no such table; the line is named.
    """
    table = read_table(path, content)
    _check_header(path, table.header)
    places = [table.column((name,)) for name in COLUMNS]
    frame_place = table.column((FRAME,))
    rows: list[ManifestRow] = []
    seen: dict[str, int] = {}
    for line in table.lines:
        fields = {
            name: line.fields[place]
            for name, place in zip(COLUMNS, places, strict=True)
            if place is not None
        }
        empty = [name for name, value in fields.items() if not value.strip()]
        if empty:
            raise DataError(
                f"{table.where(line)}: empty {empty[0]}; fill it in or remove the line (an image "
                "that belongs with no other is a group by itself)."
            )
        text = "" if frame_place is None else line.fields[frame_place].strip()
        row = ManifestRow(
            path=finder.find(fields["path"], table.where(line)),
            label=label_among(fields["label"], classes or ()),
            group=clean_label(fields["group"]),
            role=fields["role"].strip().lower(),
            frame=_frame(table.where(line), text),
        )
        if seen.setdefault(row.name, line.number) != line.number:
            raise DataError(
                f"{table.where(line)}: {naming().mention(row.path, len(rows))} is in line "
                f"{seen[row.name]} already: a path is there more than once; keep one line for "
                "each image."
            )
        rows.append(row)
    if not rows:
        raise DataError(f"{path} names no image: make it again with `endoexit split DIR`.")
    if classes is None:
        _check_spellings(path, "label", [row.label for row in rows], spelling)
    _check_spellings(path, "group", [row.group for row in rows], number_form)
    return rows


def _check_spellings(
    path: Path, what: str, values: Sequence[str], form: Callable[[str], str]
) -> None:
    """Refuse two values that differ in their spelling alone and would count as two."""
    known: dict[str, str] = {}
    for value in values:
        first = known.setdefault(form(value), value)
        if first != value:
            two = f"the {what}s {first!r} and {value!r}"
            if what == "group" and not naming().shows_paths:
                two = "two groups"
            raise DataError(
                f"{path}: {two} differ in capitals, blanks or decimals alone and would count as "
                "two: write them in one way."
            )


def _check_header(path: Path, header: Sequence[str]) -> None:
    known = {name.casefold() for name in header}
    missing = [name for name in COLUMNS if name not in known]
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


def _frame(where: str, text: str) -> int:
    whole = number_form(text or "0")
    if not (whole.isascii() and whole.isdecimal()):
        raise DataError(
            f"{where}: the frame {text!r} is no number from 0: write the position of the frame in "
            "its file, or leave the field empty for a still."
        )
    return int(whole)


def check_rows(path: Path, rows: Sequence[ManifestRow], classes: Sequence[str] | None) -> None:
    """Refuse rows that break a rule: unknown roles and labels, groups with two roles, repetitions.

    Raises:
        DataError: A rule is broken.
    """
    roles: defaultdict[str, set[str]] = defaultdict(set)
    first: dict[str, int] = {}
    for place, row in enumerate(rows):
        if row.role not in ROLES:
            near = difflib.get_close_matches(row.role, ROLES, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(ROLES)}."
            image = naming().mention(row.path, place)
            raise DataError(f"{path}: unknown role {row.role!r} of {image}: {hint}")
        roles[row.group].add(row.role)
        first.setdefault(row.group, place)
    leaking = [
        f"{naming().mention_group(group, first[group])} ({', '.join(sorted(of_group))})"
        for group, of_group in roles.items()
        if len(of_group) > 1
    ]
    if leaking:
        raise DataError(
            f"{path}: a group has more than one role: {some(leaking)}. Images of one group would "
            "be on both sides of a comparison: give each group one role, or split again with "
            "`endoexit split DIR --groups`."
        )
    times = Counter(row.name for row in rows)
    places = {row.name: place for place, row in enumerate(rows)}
    repeated = [naming().mention(name, places[name]) for name, n in times.items() if n > 1]
    if repeated:
        raise DataError(
            f"{path}: a path is there more than once: {some(repeated)}; keep one line for each "
            "image."
        )
    if classes is not None:
        unknown = sorted({row.label for row in rows} - set(classes))
        if unknown:
            raise DataError(
                f"{path}: unknown label {some([repr(name) for name in unknown])}; known are "
                f"{', '.join(classes)}. Rename the label, remove its lines, or train on this "
                "manifest."
            )
