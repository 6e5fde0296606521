"""`endoexit.audit`: what would spoil a study, found before training."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from endoexit.auditing.findings import Audit, audit_images
from endoexit.auditing.recording import write_audit, write_groups
from endoexit.data.duplicates import DEFAULT_NEAR_BITS
from endoexit.data.folders import list_images
from endoexit.data.levels import Levels
from endoexit.files import optional_path
from endoexit.progress import Track, silent


@dataclass(frozen=True)
class Audited:
    """A folder of images that was audited.

    Attributes:
        findings: All that was found.
        document: File with the findings as JSON. None where nothing was to be written.
        groups: CSV file with the group of each image. None where nothing was to be written.
    """

    findings: Audit
    document: Path | None = None
    groups: Path | None = None


def audit(
    directory: str | Path,
    *,
    near_bits: int = DEFAULT_NEAR_BITS,
    levels: Levels | None = None,
    folds: str | Path | None = None,
    exclude: Sequence[str] = (),
    out: str | Path | None = None,
    groups_out: str | Path | None = None,
    track: Track = silent,
) -> Audited:
    """Find broken files, copies, near-copies, leaks and shortcuts in a folder of images.

    Nothing is deleted or moved.

    Args:
        directory: Images in a folder for each class.
        near_bits: Number of bits (of 256) up to which the hashes of near-copies differ.
        levels: Meaning of the levels of folders. By default they are recognised.
        folds: CSV file of published folds to check: file, class, fold; or path, label, fold.
        exclude: Patterns of what is left out, such as `masks` or `*_mask.png`.
        out: File for all findings, as JSON. By default nothing is written.
        groups_out: CSV file for the group of each image. By default `<out>-groups.csv` where there
            is an `out`.
        track: Display of progress. By default none.

    Returns:
        The findings, and the files that were written.

    Raises:
        DataError: No file can be read as an image, or the folds do not fit.
        UsageError: The number of bits is out of range.
        WriteError: A file cannot be written.
    """
    listing = list_images(Path(directory), exclude, levels)
    with track("Reading images", len(listing.files)) as bar:
        findings = audit_images(
            listing,
            threshold=near_bits,
            folds=optional_path(folds),
            advance=bar.advance,
        )
    document = optional_path(out)
    groups = optional_path(groups_out)
    if document is not None:
        groups = groups or document.with_name(f"{document.stem}-groups.csv")
        write_audit(findings, document)
    if groups is not None:
        write_groups(findings, groups)
    return Audited(findings, document, groups)
