"""The audit that a report shows: found, of the same images, and whole."""

import json
import shutil

import pytest

from endoexit.auditing.findings import audit_images
from endoexit.auditing.recording import write_audit
from endoexit.data.folders import list_images
from endoexit.data.manifest import sidecar_path
from endoexit.errors import DataError
from endoexit.files import read_json, write_json
from endoexit.reporting.audit import audit_facts, find_audit, unless_changed
from endoexit.reporting.material import Absent
from endoexit.reporting.opening import open_material
from pictures import picture_folder

PARTS = {
    "not JSON": "{",
    "a list": "[]",
    "no root": {"root": None},
    "nothing of the files": {"files": {}},
    "copies of another kind": {"exact_copies": []},
    "half a leak": {"folders": {"leaks": [{"of": "train"}]}},
    "an empty shortcut": {"shortcuts": [{}]},
}


@pytest.fixture
def audited(tmp_path):
    """A run's folder with the audit of images that stand in train and test."""
    images = tmp_path / "images"
    picture_folder(images / "train", {"a": 2, "b": 2})
    picture_folder(images / "test", {"a": 2, "b": 2})  # all of them copies
    run = tmp_path / "run"
    run.mkdir()
    write_audit(audit_images(list_images(images), threshold=15), run / "audit.json")
    return run


def test_its_findings_are_said(audited, tmp_path):
    document = find_audit(audited, tmp_path / "images", None)
    facts = list(audit_facts(document))
    assert facts[0] == "8 of 8 files can be read; 0 cannot."
    assert facts[1].startswith("Exact copies: 4 contents more than once, 0 of them with")
    assert any(fact.startswith("Near-copies (up to 15 of 256 bits): 8 images") for fact in facts)
    assert facts[3].startswith("Leak of test into train: 4 within 0 bits"), facts


def test_one_in_the_run_or_beside_it_counts_if_it_is_of_the_same_images(audited, tmp_path):
    shutil.move(audited / "audit.json", tmp_path / "audit.json")
    assert not isinstance(find_audit(audited, tmp_path / "images", None), Absent)
    assert isinstance(find_audit(audited, tmp_path / "others", None), Absent)
    assert isinstance(find_audit(audited, Absent("Nobody knows."), None), Absent)
    named = find_audit(audited, tmp_path / "others", tmp_path / "audit.json")
    assert named.root == str(tmp_path / "images")


def test_one_of_images_that_changed_since_is_left_out(audited, tmp_path):
    root = tmp_path / "images"
    audit = find_audit(audited, root, audited / "audit.json")
    names = [entry.path for entry in audit.images]
    assert unless_changed(audit, root, names) is audit
    picture = root / names[3]
    picture.write_bytes(picture.read_bytes() + b"changed")
    left_out = unless_changed(audit, root, [*names[2:4], "elsewhere.png"])
    assert left_out.reason.startswith("1 of 2 images changed since the audit")
    assert unless_changed(audit, root, names[:3]) is audit  # the report is not about the fourth
    assert unless_changed(audit, Absent("Nobody knows."), names) is audit


@pytest.mark.parametrize("fault", PARTS)
def test_a_malformed_one_is_left_out_unless_it_was_named(audited, tmp_path, fault):
    file, part = audited / "audit.json", PARTS[fault]
    file.write_text(part if isinstance(part, str) else json.dumps(read_json(file) | part))
    left_out = find_audit(audited, tmp_path / "images", None)
    assert isinstance(left_out, Absent)
    assert f"({file} is " in left_out.reason
    assert "or make it again" in left_out.reason or "is not valid JSON" in left_out.reason
    with pytest.raises(DataError, match=r"audit\.json is (not valid JSON|damaged at)"):
        find_audit(audited, tmp_path / "images", file)


def test_one_that_was_named_must_be_there(audited, tmp_path):
    for missing in (tmp_path / "nowhere.json", audited):
        with pytest.raises(DataError, match=str(missing)):
            find_audit(audited, tmp_path / "images", missing)


def test_a_report_takes_the_audit_of_its_images(evaluated):
    root = evaluated.manifest().root
    write_audit(audit_images(list_images(root), threshold=15), evaluated.path / "audit.json")
    material = open_material(evaluated.path)
    # The manifest is relative to the folder above `images`, as the audit is.
    assert next(audit_facts(material.audit)) == "60 of 60 files can be read; 0 cannot."
    sidecar = sidecar_path(evaluated.path / "manifest.csv")
    write_json(sidecar, read_json(sidecar) | {"root": str(root / "images")})
    assert isinstance(open_material(evaluated.path).audit, Absent)
