"""Findings as files: everything is in audit.json, and every image in the table of groups."""

import csv
import json
from pathlib import Path

from endoexit.auditing.document import AuditDocument
from endoexit.auditing.findings import Audit, audit_images
from endoexit.auditing.recording import audit_document, size_counts, write_audit, write_groups
from endoexit.data.folders import list_images


def audited(folder: Path, folds: Path | None = None) -> Audit:
    return audit_images(list_images(folder), threshold=15, folds=folds)


def test_files_hold_everything(folder: Path, tmp_path: Path) -> None:
    findings = audited(folder)
    write_audit(findings, tmp_path / "out" / "audit.json")
    write_groups(findings, tmp_path / "out" / "groups.csv")
    document = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert len(document["images"]) == 18
    by_path = {row["path"]: row for row in document["images"]}
    assert by_path["test/a/near.png"]["group"] == by_path["train/a/2.png"]["group"]
    assert 0 < by_path["test/a/near.png"]["bits_to_other_folder"] <= 15
    assert by_path["train/b/0.png"]["bits_to_other_folder"] is None
    assert [len(group["paths"]) for group in document["groups"]] == [2, 2, 2, 2]
    assert document["folders"] == {
        "images": {"train": 9, "test": 9},
        "leaks": [
            {
                "of": "test",
                "near_copy_in": "train",
                "images_within_bits": {"0": 2, "5": 3, "10": 3, "15": 3},
            }
        ],
    }
    assert document["classes"]["a"] == {
        "images": 11, "sizes": {"68×64": 11},
        "border_area": 0.0, "bordered_share": 0.0, "inset_share": 0.0,
    }  # fmt: skip
    with (tmp_path / "out" / "groups.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["path"] for row in rows] == [image.file.path for image in findings.images]
    assert [int(row["group"]) for row in rows] == findings.groups.tolist()


def test_one_folder_alone_has_no_parts_and_no_folds(folder: Path) -> None:
    values = audit_document(audited(folder / "train")).values()
    assert values["folders"] is None
    assert values["folds"] is None
    assert "images" not in values
    assert "groups" not in values


def test_columns_of_images_are_absent_where_nothing_is_divided(
    folder: Path, tmp_path: Path
) -> None:
    write_audit(audited(folder / "train"), tmp_path / "audit.json")
    (first, *_) = json.loads((tmp_path / "audit.json").read_text())["images"]
    assert not {"bits_to_other_folder", "fold", "bits_to_other_fold"} & set(first)
    table = tmp_path / "folds.csv"
    table.write_text("file;class;fold\n0.png;a;0\n1.png;a;1\n")
    write_audit(audited(folder / "train", folds=table), tmp_path / "audit.json")
    entries = {image.path: image for image in AuditDocument.read(tmp_path / "audit.json").images}
    assert (entries["a/0.png"].fold, entries["a/2.png"].fold) == ("0", None)
    assert entries["a/0.png"].bits_to_other_fold is None
    assert entries["a/0.png"].bits_to_other_folder is None


def test_sizes_are_counted_by_class(folder: Path) -> None:
    findings = audited(folder)
    assert {label: dict(sizes) for label, sizes in size_counts(findings).items()} == {
        "a": {"68×64": 11}, "b": {"68×64": 7}
    }  # fmt: skip
