"""The files of an audit hold everything that it found."""

import csv
import json
from pathlib import Path

from endoexit.audit.document import audit_document, write_audit, write_groups
from endoexit.audit.findings import Audit, audit_images
from endoexit.data.folders import list_images


def audited(folder: Path) -> Audit:
    return audit_images(list_images(folder), threshold=15)


def test_one_folder_alone_has_neither_folders_nor_folds(folder: Path) -> None:
    document = audit_document(audited(folder / "train"))
    assert (document["folders"], document["folds"]) == (None, None)


def test_files_hold_everything(folder: Path, tmp_path: Path) -> None:
    found = audited(folder)
    write_audit(found, tmp_path / "out" / "audit.json")
    write_groups(found, tmp_path / "out" / "groups.csv")
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
    assert [row["path"] for row in rows] == [image.file.path for image in found.images]
    assert [int(row["group"]) for row in rows] == found.groups.tolist()
