"""The manifest: which image has which label, group and role.

A manifest is a CSV with the columns `path,label,group,role`. A path is relative
to the data root, with forward slashes. A role says what an image may be used
for, and a group (a patient, a video, or near-copies of one view) has one role
only: that is what keeps a test figure honest. Next to `manifest.csv` is
`manifest.csv.json`, which holds the root, how the manifest was made and, where
someone said so, the licence and the source of the images.
"""

import os
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from endoexit.data.finding import Finder
from endoexit.data.labels import clean_label
from endoexit.data.rows import COLUMNS, FRAME, ROLES, ManifestRow, check_rows, parse_rows
from endoexit.errors import DataError, counted, some, unknown_name
from endoexit.files import (
    csv_line,
    read_json,
    refuse_lfs_pointer,
    sha256_bytes,
    write_json,
    write_text,
)
from endoexit.images.reference import ImageRef
from endoexit.naming import naming

LICENCE, SOURCE = "licence", "source"  # of the images, in the sidecar
MAX_BYTES = 512 * 2**20


@dataclass(frozen=True, eq=False)
class Cohort:
    """The images of one role.

    Attributes:
        role: Role of the images, one of `ROLES`.
        images: Images by their absolute paths, in the order of the manifest; N of them.
        names: Their texts, relative to the root; N of them.
        labels: Indices into `classes`, shape (N,), int64.
        groups: Names of the groups, shape (N,).
        classes: Names of the classes.
        places: Positions of the images in the manifest, from 0; N of them.
    """

    role: str
    images: tuple[ImageRef, ...]
    names: tuple[str, ...]
    labels: np.ndarray
    groups: np.ndarray
    classes: tuple[str, ...]
    places: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.images)

    def mention(self, index: int) -> str:
        """Return the name of one image for a sentence; see `endoexit.naming`."""
        if naming().shows_paths:
            return str(self.images[index])
        return naming().mention(self.names[index], self.places[index])


@dataclass(frozen=True)
class Manifest:
    """A checked manifest.

    Attributes:
        path: File of its CSV.
        root: The folder that the rows' paths are relative to, absolute.
        rows: The images, in the order of the CSV.
        classes: Sorted names of the labels, or the classes that it was read with.
        sha256: SHA-256 of the bytes of the CSV.
    """

    path: Path
    root: Path
    rows: tuple[ManifestRow, ...]
    classes: tuple[str, ...]
    sha256: str

    def has(self, role: str) -> bool:
        """Return whether any image has this role."""
        return any(row.role == role for row in self.rows)

    def counts(self) -> dict[str, dict[str, int]]:
        """Return the number of images by role, then by class, for the roles that exist."""
        seen = Counter((row.role, row.label) for row in self.rows)
        return {
            role: {name: seen[role, name] for name in self.classes}
            for role in ROLES
            if self.has(role)
        }

    def cohort(self, role: str) -> Cohort:
        """Return the images of one role.

        Raises:
            UsageError: There is no such role.
            DataError: No image has it.
        """
        if role not in ROLES:
            raise unknown_name("role", role, ROLES)
        placed = [(place, row) for place, row in enumerate(self.rows) if row.role == role]
        rows = [row for _, row in placed]
        if not rows:
            present = ", ".join(name for name in ROLES if self.has(name))
            raise DataError(
                f"{self.path} has no image with the role {role!r} (it has {present}): make a "
                f"manifest that has one with `endoexit split --roles ...,{role}=...`."
            )
        index = {name: number for number, name in enumerate(self.classes)}
        return Cohort(
            role=role,
            images=tuple(ImageRef(self.root / row.path, row.frame) for row in rows),
            names=tuple(row.name for row in rows),
            labels=np.array([index[row.label] for row in rows], dtype=np.int64),
            groups=np.array([row.group for row in rows]),
            classes=self.classes,
            places=tuple(place for place, _ in placed),
        )


def read_manifest(
    path: Path, root: Path | None = None, *, classes: Sequence[str] | None = None
) -> Manifest:
    """Read a manifest and check it whole.

    Args:
        path: The CSV; columns besides `COLUMNS` are ignored.
        root: Folder that the rows' paths are relative to. By default the `root` of
            `<path>.json`, else the folder of the manifest.
        classes: The classes that a network knows, in the order of its outputs; a
            label outside them is refused. By default the sorted labels.

    Raises:
        DataError: The file, its root or one of its images is missing, a row is
            malformed, a path is there twice, a group has two roles, or a label or
            role is unknown.
    """
    path = Path(path)
    content = _read_bytes(path)
    root = _find_root(path, root)
    rows = parse_rows(path, content, Finder(root), classes)
    check_rows(path, rows, classes)
    _check_files(path, root, rows)
    names = tuple(classes) if classes is not None else tuple(sorted({row.label for row in rows}))
    return Manifest(path.resolve(), root, tuple(rows), names, sha256_bytes(content))


def write_manifest(
    path: Path, rows: Sequence[ManifestRow], root: Path, facts: Mapping[str, Any] | None = None
) -> Manifest:
    """Write a manifest and its sidecar (root, hash, counts, facts); return it as if read back.

    Args:
        path: The CSV; the sidecar is `<path>.json`.
        rows: The images.
        root: Folder that the rows' paths are relative to; stored relative to the
            manifest where the two can be, so that both can move together.
        facts: Facts for the sidecar: how the manifest was made, `LICENCE`, `SOURCE`.

    Raises:
        DataError: The rows break a rule of `read_manifest`.
        EndoexitError: It cannot be written.
    """
    path = Path(path)
    rows = [
        replace(row, label=clean_label(row.label), group=clean_label(row.group)) for row in rows
    ]
    check_rows(path, rows, None)
    root = Path(root).resolve()
    _check_files(path, root, rows)
    width = len(COLUMNS) + any(row.frame for row in rows)
    lines = [(row.path, row.label, row.group, row.role, row.frame)[:width] for row in rows]
    content = "".join(map(csv_line, [(*COLUMNS, FRAME)[:width], *lines]))
    classes = tuple(sorted({row.label for row in rows}))
    manifest = Manifest(path.resolve(), root, tuple(rows), classes, sha256_bytes(content.encode()))
    sidecar = {
        "root": _relative(root, path),
        "sha256": manifest.sha256,
        "counts": manifest.counts(),
        **(facts or {}),
    }
    # The sidecar goes first: where there is a manifest, there is what it needs to be read.
    write_json(sidecar_path(path), sidecar)
    write_text(path, content)
    return manifest


def copy_manifest(manifest: Manifest, target: Path) -> Manifest:
    """Write a manifest to another place, with what its sidecar says; return it as if read back.

    Raises:
        DataError: Its sidecar cannot be read.
        EndoexitError: It cannot be written.
    """
    sidecar = sidecar_path(manifest.path)
    facts = read_json(sidecar, DataError) if sidecar.is_file() else {}
    known = facts if isinstance(facts, dict) else {}
    kept = {name: value for name, value in known.items() if name not in {"root", "sha256"}}
    return write_manifest(target, manifest.rows, manifest.root, kept)


def sidecar_path(path: Path) -> Path:
    """Return where the facts on a manifest are: `manifest.csv.json`."""
    return path.with_name(path.name + ".json")


def _read_bytes(path: Path) -> bytes:
    if path.is_dir():
        raise DataError(
            f"{path} is a folder, not a manifest. Of a folder of images, make one with: "
            f"endoexit split {shlex.quote(str(path))}"
        )
    if not path.is_file():
        raise DataError(
            f"manifest {path} does not exist: check its path, or make one with "
            "`endoexit split DIR`."
        )
    if path.stat().st_size > MAX_BYTES:
        raise DataError(f"{path} is larger than {MAX_BYTES >> 20} MiB: this is not a manifest.")
    refuse_lfs_pointer(path, DataError)
    return path.read_bytes()


def _find_root(path: Path, root: Path | None) -> Path:
    sidecar = sidecar_path(path)
    if root is None and sidecar.is_file():
        facts = read_json(sidecar, DataError)
        stored = facts.get("root") if isinstance(facts, dict) else None
        if not isinstance(stored, str):
            raise DataError(f"{sidecar} has no text `root`: write the folder of the images there.")
        root = path.resolve().parent / stored
    root = Path(root).resolve() if root is not None else path.resolve().parent
    if not root.is_dir():
        raise DataError(
            f"the folder of the images of {path}, {root}, does not exist: bring it back, or write "
            f"its new place as `root` into {sidecar}."
        )
    return root


def _check_files(path: Path, root: Path, rows: Sequence[ManifestRow]) -> None:
    missing = [
        naming().mention(row.name, place)
        for place, row in enumerate(rows)
        if not (root / row.path).is_file()
    ]
    if missing:
        raise DataError(
            f"{path}: {len(missing)} of {counted(len(rows), 'image')} not found under {root}: "
            f"{some(missing)}. Bring them back, correct the root, or split again."
        )


def _relative(root: Path, path: Path) -> str:
    try:
        return Path(os.path.relpath(root, path.resolve().parent)).as_posix()
    except ValueError:  # another drive
        return root.as_posix()
