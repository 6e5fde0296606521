"""What an `audit.json` says, read back: the findings without the tables of images and groups."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from endoexit.documents import Record, parse_record
from endoexit.errors import DataError
from endoexit.files import read_json

Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class _Part(Record):
    """A part of the document of which not everything is read back."""

    model_config = ConfigDict(extra="ignore")


class Files(_Part):
    """Attributes: files with a label, those that can be read, those that cannot."""

    found: Count
    readable: Count
    broken: tuple[dict[str, Any], ...]


class ExactCopies(_Part):
    """Attributes: contents that occur more than once, and how they are spread."""

    repeated_contents: Count
    in_several_folders: Count
    with_several_labels: Count


class NearCopies(_Part):
    """Attributes: images with a near-copy, their groups, pairs whose labels contradict."""

    images: Count
    groups: Count
    largest_group: Count
    pairs_with_different_labels: Count


class Leak(_Part):
    """Attributes: images `of` one folder with a near-copy in another, by bits of distance."""

    of: str
    near_copy_in: str
    images_within_bits: dict[str, Count]


class Folders(_Part):
    """Attributes: leaks between the folders train, val and test."""

    leaks: tuple[Leak, ...]


class FoldShares(_Part):
    """Attributes: the share of all images."""

    all: Share


class Folds(_Part):
    """Attributes: the column of the folds; shares by bits of distance."""

    column: str
    share_with_near_copy_in_another_fold: dict[str, FoldShares]


class ShortcutFound(_Part):
    """Attributes: the finding in words."""

    text: str


class AuditSummary(_Part):
    """What `endoexit.audit.document.audit_document` wrote.

    Attributes:
        root: The folder that was audited, absolute.
        threshold_bits: Up to which two images are near-copies.
        files: Numbers of files.
        exact_copies: Copies of whole files.
        near_copies: Near-copies of images.
        folders: None for a folder that is not divided.
        folds: None where no table of folds was checked.
        shortcuts: Borders and insets that tell a class.
    """

    root: str
    threshold_bits: Count
    files: Files
    exact_copies: ExactCopies
    near_copies: NearCopies
    folders: Folders | None = None
    folds: Folds | None = None
    shortcuts: tuple[ShortcutFound, ...]


def read_audit(path: Path) -> AuditSummary:
    """Read an `audit.json`.

    Raises:
        DataError: It is missing, cannot be read, or is not what `endoexit audit` writes.
    """
    remedy = "Name an audit.json of `endoexit audit`, or make it again."
    try:
        document = read_json(path, DataError)
    except OSError as error:
        raise DataError(f"cannot read {path} ({error.strerror or error}). {remedy}") from error
    return parse_record(AuditSummary, document, path, DataError, remedy=remedy)
