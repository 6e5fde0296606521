"""Images that a network learnt from, against those that must stay unseen."""

import shutil

import pytest

from endoexit.data.manifest import read_manifest, write_manifest
from endoexit.data.rows import ManifestRow
from endoexit.data.unseen import check_unseen
from endoexit.errors import DataError


def other_roles(path, manifest, role_of):
    rows = [ManifestRow(row.path, row.label, row.group, role_of(row)) for row in manifest.rows]
    return write_manifest(path / "manifest.csv", rows, manifest.root)


def check(learnt, kept):
    check_unseen({"runs/other": learnt}, kept, "runs/this", why="figures are honest")


@pytest.mark.parametrize("learnt", ["train", "val"])
@pytest.mark.parametrize("role", ["calibrate", "certify", "test"])
def test_what_was_learnt_must_not_be_unseen(tiny_manifest, tmp_path, role, learnt):
    kept = read_manifest(tiny_manifest)
    learnt_from = other_roles(tmp_path, kept, lambda row: learnt if row.role == role else row.role)
    number = len(kept.cohort(role).names)
    with pytest.raises(DataError) as refused:
        check(learnt_from, kept)
    text = str(refused.value)
    assert f"runs/other learnt from {number} images that runs/this keeps unseen, such as " in text
    assert f"of the role {role}: train it again with {kept.path}, so that figures are ho" in text


def test_unseen_images_may_have_other_unseen_roles(tiny_manifest, tmp_path):
    kept = read_manifest(tiny_manifest)
    roles = {"certify": "test", "train": "val"}
    check(other_roles(tmp_path, kept, lambda row: roles.get(row.role, row.role)), kept)


def test_the_same_manifest_is_not_read_again(tiny_manifest, monkeypatch):
    monkeypatch.setattr("endoexit.data.unseen.read_bytes", None)
    check(read_manifest(tiny_manifest), read_manifest(tiny_manifest))


def test_an_image_that_is_gone_is_named(tiny_manifest, tmp_path):
    kept = read_manifest(tiny_manifest)
    rows = [ManifestRow("a.png", kept.classes[0], "a", "train")]
    shutil.copy(kept.root / kept.rows[0].path, tmp_path / "a.png")
    written = write_manifest(tmp_path / "manifest.csv", rows, tmp_path)
    read = read_manifest(written.path, classes=kept.classes)
    (tmp_path / "a.png").unlink()
    with pytest.raises(DataError, match=r"a\.png"):
        check(read, kept)
