"""The audit of the images that a report is about: where it is, and its findings in words."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from endoexit.auditing.document import AuditDocument
from endoexit.errors import DataError, counted
from endoexit.evaluation.figures import percent
from endoexit.files import sha256_file
from endoexit.images.reference import ImageRef
from endoexit.reporting.material import Absent

AUDIT = "audit.json"


def find_audit(folder: Path, root: Path | Absent, named: Path | None) -> AuditDocument | Absent:
    """Return the audit that was named; else the one of the same images in a folder or next to it.

    Args:
        folder: Run or bundle.
        root: Folder of the images.
        named: File that the user named; None for none.

    Raises:
        DataError: The one that was named is not there, or is not one.
    """
    if named is not None:
        return AuditDocument.read(named)
    damaged = ""
    for file in (folder / AUDIT, folder.resolve().parent / AUDIT):
        if not file.exists():
            continue
        try:
            audit = AuditDocument.read(file)
        except DataError as error:
            damaged = damaged or f" ({error})"
            continue
        if Path(audit.root).resolve() == root:
            return audit
    return Absent(
        f"There is no audit of these images in the run or next to it{damaged}. Make one with "
        "`endoexit audit FOLDER`, and give it to the report with --audit."
    )


def unless_changed(
    audit: AuditDocument | Absent, root: Path | Absent, names: Sequence[str]
) -> AuditDocument | Absent:
    """Return an audit, unless images have another content than when it was made.

    Args:
        audit: The audit.
        root: Folder of the images.
        names: Names of the images that the report is about, relative to that folder.
    """
    if isinstance(audit, Absent) or isinstance(root, Absent):
        return audit
    known = {entry.path: entry.sha256 for entry in audit.images}
    paths = dict.fromkeys(ImageRef.parse(name).path.as_posix() for name in names)
    files = {root / path: known[path] for path in paths if path in known}
    changed = sum(file.is_file() and sha256_file(file) != was for file, was in files.items())
    if changed == 0:
        return audit
    return Absent(
        f"{changed} of {counted(len(files), 'image')} changed since the audit, so it is not about "
        "these images: make it again with `endoexit audit FOLDER`."
    )


def audit_facts(audit: AuditDocument) -> Iterator[str]:
    """Yield what an audit found, a sentence a finding."""
    files, same, near = audit.files, audit.exact_copies, audit.near_copies
    yield (
        f"{files.readable} of {counted(files.found, 'file')} can be read; {len(files.broken)} "
        "cannot."
    )
    yield (
        f"Exact copies: {counted(same.repeated_contents, 'content')} more than once, "
        f"{same.with_several_labels} of them with more than one label, "
        f"{same.in_several_folders} in more than one folder."
    )
    yield (
        f"Near-copies (up to {audit.threshold_bits} of 256 bits): "
        f"{counted(near.images, 'image')} with one; {counted(near.groups, 'group')}, "
        f"the largest of {counted(near.largest_group, 'image')}; "
        f"{counted(near.pairs_with_different_labels, 'pair')} with different labels."
    )
    for leak in audit.folders.leaks if audit.folders else ():
        counts = ", ".join(
            f"{count} within {bits} bits" for bits, count in leak.images_within_bits.items()
        )
        yield f"Leak of {leak.of} into {leak.near_copy_in}: {counts}."
    if audit.folds:
        for bits, share in audit.folds.share_with_near_copy_in_another_fold.items():
            yield (
                f"Folds of column {audit.folds.column}: {percent(share.all)} % of the images have "
                f"a near-copy in another fold within {bits} bits."
            )
    for shortcut in audit.shortcuts:
        yield f"Shortcut: {shortcut.text}"
    if not audit.shortcuts:
        yield "Shortcuts: no class differs by its border or inset."
