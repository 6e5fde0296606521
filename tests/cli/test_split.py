"""`endoexit split` as people run it: what it prints, writes and returns."""

import json
import shutil
from pathlib import Path

import pytest

from endoexit.data.manifest import read_manifest
from pictures import near_copy, picture_folder, save
from tiny_project import endoexit as run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = picture_folder(tmp_path / "data", {"a": 10, "b": 10})
    shutil.copy(root / "a" / "0.png", root / "a" / "copy.png")
    (root / "b" / "cut.jpg").write_bytes(b"\xff\xd8\xff")
    return root


def test_manifest_table_and_sidecar(folder: Path, tmp_path: Path) -> None:
    result = run("split", "data", "--roles", "train=.8,test=.2", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert f"{folder}: 20 of 22 files, classes: 2" in lines
    assert "Left out, cannot be used: 1 file:" in lines
    assert "Left out, identical to one that stays: 1 file (a/copy.png)" in lines
    for row in ("class train test all", "a 8 2 10", "b 8 2 10", "images 16 4 20",
                "share 80.0 % 20.0 %", "asked for 80.0 % 20.0 %", "groups 16 4 20"):  # fmt: skip
        assert row in lines
    manifest = read_manifest(tmp_path / "manifest.csv")
    assert manifest.counts() == {"train": {"a": 8, "b": 8}, "test": {"a": 2, "b": 2}}
    sidecar = json.loads((tmp_path / "manifest.csv.json").read_text())
    assert sidecar["root"] == "data"
    assert sidecar["sha256"] == manifest.sha256
    assert sidecar["seed"] == 0
    assert sidecar["roles"] == {"train": 0.8, "test": 0.2}
    assert sidecar["threshold_bits"] == 15
    assert sidecar["counts"] == manifest.counts()
    assert sidecar["left_out"]["identical_copies"] == ["a/copy.png"]
    assert list(sidecar["left_out"]["broken"]) == ["b/cut.jpg"]


def test_the_terms_of_the_images_travel_with_the_manifest(folder: Path, tmp_path: Path) -> None:
    terms = ("--licence", "CC BY 4.0", "--source", "https://example.org")
    assert run("split", "data", *terms, cwd=tmp_path).returncode == 0
    sidecar = json.loads((tmp_path / "manifest.csv.json").read_text())
    assert (sidecar["licence"], sidecar["source"]) == ("CC BY 4.0", "https://example.org")
    refused = run("split", "data", "--licence", " ", "--out", "other.csv", cwd=tmp_path)
    assert refused.returncode == 2
    assert "--licence is empty: write a text, or leave it out." in refused.stderr
    assert not (tmp_path / "other.csv").exists()


def test_json_is_one_document_and_the_seed_decides(folder: Path, tmp_path: Path) -> None:
    hashes = []
    for seed in (1, 1, 2):
        result = run("split", folder, "--seed", seed, "--json", "--out", "m.csv", cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        document = json.loads(result.stdout)
        assert document["manifest"] == "m.csv"
        assert document["counts"]["train"] == {"a": 6, "b": 6}
        hashes.append(document["sha256"])
    assert hashes[0] == hashes[1] != hashes[2]


def test_groups_of_the_audit_are_taken(folder: Path, tmp_path: Path) -> None:
    save(near_copy(3), folder / "a" / "near.png")
    assert run("audit", folder, cwd=tmp_path).returncode == 0
    result = run("split", folder, "--groups", "audit-groups.csv", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    rows = {row.path: row for row in read_manifest(tmp_path / "manifest.csv").rows}
    assert rows["a/3.png"].group == rows["a/near.png"].group


def test_mixed_groups_are_reported(folder: Path, tmp_path: Path) -> None:
    save(near_copy(3), folder / "b" / "near.png")
    dropped = run("split", folder, cwd=tmp_path)
    assert (
        "Left out, near-copies with different labels: 2 files (a/3.png, b/near.png)"
        in dropped.stdout
    )
    kept = run("split", folder, "--mixed", "keep", cwd=tmp_path)
    assert "Kept together: 1 group with different labels." in kept.stdout


def test_folders_that_leak(folder: Path, tmp_path: Path) -> None:
    for part, start in (("train", 0), ("test", 100)):
        picture_folder(tmp_path / "own" / part, {"a": 4, "b": 4}, start=start)
    for name in ("2.png", "3.png"):
        shutil.copy(tmp_path / "own" / "train" / "b" / name, tmp_path / "own" / "test" / "b" / name)
    command = ("split", "own", "--from-folders")
    leak = "2 of 8 images of test (25.0 %) with a near-copy (15 bits) in train, 2 of them the same"
    refused = run(*command, cwd=tmp_path)
    assert refused.returncode == 1
    assert leak in refused.stderr
    assert not (tmp_path / "manifest.csv").exists()
    dropped = run(*command, "--drop-leaks", cwd=tmp_path)
    assert dropped.returncode == 0
    assert f"warning: the folders of {tmp_path / 'own'} leak: 2 groups (4 images)" in dropped.stderr
    assert leak in dropped.stderr
    assert "Left out, near-copies of images in a later role: 2 files (train/b/2" in dropped.stdout
    assert len(read_manifest(tmp_path / "manifest.csv").rows) == 14
    accepted = run(*command, "--accept-leak", "--roles", "train=.5,val=.5", cwd=tmp_path)
    assert accepted.returncode == 0, accepted.stderr
    assert leak in json.loads((tmp_path / "manifest.csv.json").read_text())["leak"]
    assert read_manifest(tmp_path / "manifest.csv").counts() == {
        "train": {"a": 2, "b": 2}, "val": {"a": 2, "b": 2}, "test": {"a": 4, "b": 4},
    }  # fmt: skip


def test_a_role_without_a_class_is_warned_of(tmp_path: Path) -> None:
    picture_folder(tmp_path / "own" / "train", {"a": 3, "b": 3})
    picture_folder(tmp_path / "own" / "test", {"a": 3}, start=10)
    result = run("split", "own", "--from-folders", cwd=tmp_path)
    assert result.returncode == 0
    assert result.stderr == "warning: test has no image of 'b'.\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["none"], 1, "error: the folder of images none does not exist"),
        (["data", "--roles", "train=.5,tets=.5"], 2, "unknown role 'tets': did you mean 'test'"),
        (["data", "--roles", "train=.5,test=.6"], 2, "add up to 1.1, not 1"),
        (["data", "--drop-leaks"], 2, "--drop-leaks says how to use --from-folders: give"),
        (["data", "--merge-groups"], 2, "--merge-groups says how to use --groups: give --groups"),
        (["data", "--from-folders", "--drop-leaks", "--accept-leak"], 2, "exclude each other"),
        (["data", "--from-folders"], 1, "has no two folders named after roles"),
        (["data", "--groups", "no.csv"], 1, "the table no.csv does not exist"),
        (["data", "--mixed", "maybe"], 2, "maybe"),
        (["data", "--seed", "-1"], 2, "greater than"),
        (["data", "--exclude", "b"], 1, "has one class, 'a'"),
    ],
)
def test_wrong_use(
    folder: Path, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    result = run("split", *arguments, cwd=tmp_path)
    assert result.returncode == code
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_help_has_an_example(tmp_path: Path) -> None:
    result = run("split", "--help", cwd=tmp_path)
    assert result.returncode == 0
    assert "Example: endoexit split kvasir --roles train=.7,val=.1,test=.2" in result.stdout
