"""What is written as audit.json is read back the same; what is not one is refused."""

import json
from pathlib import Path

import pytest

from endoexit.auditing.document import AuditDocument
from endoexit.auditing.findings import audit_images
from endoexit.auditing.recording import audit_document, write_audit
from endoexit.data.folders import list_images
from endoexit.errors import DataError


@pytest.fixture
def file(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("out") / "audit.json"  # outside the folder that is audited
    write_audit(audit_images(list_images(folder), threshold=15), path)
    return path


def test_a_document_is_read_as_it_was_written(file: Path, folder: Path) -> None:
    document = AuditDocument.read(file)
    written = audit_document(audit_images(list_images(folder), threshold=15))
    assert document.replaced(groups=(), images=()) == written.replaced(groups=(), images=())
    assert len(document.images) == document.files.readable == 18
    assert document.values() == json.loads(file.read_text())


def test_a_document_of_the_first_release_is_read(file: Path) -> None:
    values = json.loads(file.read_text())
    del values["levels"], values["files"]["passed_over"]
    file.write_text(json.dumps(values))
    assert AuditDocument.read(file).files.passed_over == ()


def test_what_a_newer_version_adds_is_passed_over(file: Path) -> None:
    values = json.loads(file.read_text()) | {"weather": "fine"}
    values["near_copies"]["weather"] = "fine"
    file.write_text(json.dumps(values))
    assert AuditDocument.read(file).near_copies.images == 8


def test_what_is_no_audit_is_refused_with_a_remedy(file: Path, tmp_path: Path) -> None:
    values = json.loads(file.read_text())
    values["near_copies"]["images"] = -1
    file.write_text(json.dumps(values))
    with pytest.raises(DataError, match=r"damaged at 'near_copies.images'.*endoexit audit"):
        AuditDocument.read(file)
    with pytest.raises(DataError):
        AuditDocument.read(tmp_path / "nowhere.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"is not valid JSON"),
        ("[]", r"damaged at 'the top', or of another version.* Name an audit.json of `endoexit"),
        ('{"root": "x"}', r"damaged at 'endoexit'"),
    ],
)
def test_what_is_none_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "audit.json").write_text(content)
    with pytest.raises(DataError, match=message):
        AuditDocument.read(tmp_path / "audit.json")
