"""An `audit.json` is read back as it was written, and anything else is refused by name."""

from pathlib import Path

import pytest

from endoexit.audit.document import audit_document, write_audit
from endoexit.audit.findings import audit_images
from endoexit.audit.summary import read_audit
from endoexit.data.folders import list_images
from endoexit.errors import DataError
from endoexit.files import read_json, write_json


def test_what_was_written_is_read(folder: Path, tmp_path: Path) -> None:
    audit = audit_images(list_images(folder), threshold=15)
    write_audit(audit, tmp_path / "audit.json")
    summary, document = read_audit(tmp_path / "audit.json"), audit_document(audit)
    assert summary.root == str(folder)
    assert summary.threshold_bits == 15
    assert (summary.files.found, summary.files.readable) == (18, 18)
    assert (summary.exact_copies.repeated_contents, summary.exact_copies.with_several_labels) == (
        3, 1,
    )  # fmt: skip
    assert summary.near_copies.images == document["near_copies"]["images"] == 8
    assert summary.folders is not None
    (leak,) = summary.folders.leaks
    assert (leak.of, leak.near_copy_in, leak.images_within_bits["15"]) == ("test", "train", 3)
    assert summary.folds is None
    assert summary.shortcuts == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"is not valid JSON"),
        ("[]", r"damaged at 'the top', or of another version.* Name an audit.json of `endoexit"),
        ('{"root": "x"}', r"damaged at 'threshold_bits'"),
    ],
)
def test_what_is_none_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "audit.json").write_text(content)
    with pytest.raises(DataError, match=message):
        read_audit(tmp_path / "audit.json")


def test_a_count_below_zero_is_damage(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "audit.json"
    write_audit(audit_images(list_images(folder), threshold=15), path)
    document = read_json(path, DataError)
    document["near_copies"]["groups"] = -1
    write_json(path, document)
    with pytest.raises(DataError, match=r"is damaged at .near_copies\.groups."):
        read_audit(path)
