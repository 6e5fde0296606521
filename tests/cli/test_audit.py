"""`endoexit audit` as people run it: what it prints, writes and returns."""

import json
from pathlib import Path

import pytest

from pictures import near_copy, picture_folder, save
from tiny_project import endoexit as run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = picture_folder(tmp_path / "my data", {"a": 3, "b": 3})
    save(near_copy(0), root / "a" / "near.png")
    (root / "a" / "empty.jpg").write_bytes(b"")
    return root


def test_summary_and_files(folder: Path, tmp_path: Path) -> None:
    result = run("audit", folder, "--near-bits", 12, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    for line in (
        f"{folder}: 7 images, classes: 2",
        "Files: 1 of 8 cannot be used:",
        "  a/empty.jpg is empty (0 bytes): restore it from its source or remove it.",
        "Exact copies: none.",
        "Near-copies (up to 12 of 256 bits): 2 images with one; 6 groups, the largest of 2 images, "
        "0 with more than one label.",
        "Shortcuts: no class differs by its border or inset.",
        f"Split so that near-copies stay together: endoexit split '{folder}' --near-bits 12",
        "Written: audit.json (everything), audit-groups.csv (the group of each image).",
    ):
        assert line in result.stdout.splitlines()
    assert json.loads((tmp_path / "audit.json").read_text())["threshold_bits"] == 12
    assert (tmp_path / "audit-groups.csv").read_text().splitlines()[:2] == [
        "path,label,group", "a/0.png,a,0"
    ]  # fmt: skip
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "audit-groups.csv", "audit.json", "my data"
    ]  # fmt: skip


def test_json_is_one_document_on_stdout(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "there" / "x.json"
    result = run("audit", folder, "--json", "--out", out, cwd=tmp_path)
    assert result.returncode == 0
    document = json.loads(result.stdout)
    assert document["near_copies"]["groups"] == 6
    assert document["files"]["broken"][0]["kind"] == "empty"
    assert document["written"] == {"audit": str(out), "groups": str(out.parent / "x-groups.csv")}
    assert "7 images, classes: 2" in result.stderr
    written = json.loads(out.read_text())
    assert {key: written[key] for key in document if key != "written"} == {
        key: value for key, value in document.items() if key != "written"
    }


def test_audits_of_two_folders_stand_side_by_side(folder: Path, tmp_path: Path) -> None:
    second = picture_folder(tmp_path / "other", {"c": 1, "d": 1})
    assert run("audit", folder, "--out", "mine.json", cwd=tmp_path).returncode == 0
    before = (tmp_path / "mine-groups.csv").read_text()
    assert run("audit", second, "--out", "other.json", cwd=tmp_path).returncode == 0
    assert (tmp_path / "mine-groups.csv").read_text() == before
    assert "c/0.png,c,0" in (tmp_path / "other-groups.csv").read_text().splitlines()


def test_leaks_are_named(folder: Path, tmp_path: Path) -> None:
    picture_folder(tmp_path / "own" / "train", {"a": 2, "b": 2})
    picture_folder(tmp_path / "own" / "test", {"a": 2, "b": 2}, start=1)
    (tmp_path / "folds.csv").write_text("path;class;fold\ntrain/a/1.png;a;0\ntest/a/0.png;a;1\n")
    result = run("audit", tmp_path / "own", "--folds", tmp_path / "folds.csv", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    lines = " ".join(result.stdout.split())
    assert "test (4) train 3 (75.0 %) 3 (75.0 %)" in lines
    assert "all 100.0 % 100.0 %" in lines
    assert "Images without a fold: 6; rows that fit no image: 0." in result.stdout
    assert "! Leak: a score on test counts images that were seen in train." in result.stdout
    assert "on seen images: 100.0 % of all." in result.stdout


def test_a_split_folder_without_a_readable_image_is_no_side_of_a_leak(tmp_path: Path) -> None:
    picture_folder(tmp_path / "own" / "train", {"a": 2, "b": 2})
    picture_folder(tmp_path / "own" / "val", {"a": 2, "b": 2}, start=1)
    (tmp_path / "own" / "test" / "a").mkdir(parents=True)
    (tmp_path / "own" / "test" / "a" / "1.jpg").write_text("version https://git-lfs")
    result = run("audit", "own", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "! Leak: a score on val counts images that were seen in train." in result.stdout
    assert "  test/a/1.jpg is not an image that can be read (" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["no-such-folder"], 1, "error: the folder of images no-such-folder does not exist"),
        (["my data", "--near-bits", "80"], 2, "error: --near-bits 80 is not between 0 and 64"),
        (["my data", "--exclude", "zzz"], 2, "error: --exclude 'zzz' matches nothing"),
        (["my data", "--folds", "no.csv"], 1, "error: the table no.csv does not exist"),
        (["my data", "--treshold", "8"], 2, "No such option"),
        (["my data", "--out", "my data/a/0.png/x.json"], 1, "my data/a/0.png is a file, not a fol"),
        (["my data/a"], 1, "has no class folder with images (5 images outside one)"),
    ],
)
def test_wrong_use(
    folder: Path, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    result = run("audit", *arguments, cwd=tmp_path)
    assert result.returncode == code
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["my data"]


def test_help_has_an_example(tmp_path: Path) -> None:
    result = run("audit", "--help", cwd=tmp_path)
    assert result.returncode == 0
    assert "Example: endoexit audit kvasir --near-bits 15" in result.stdout


def test_the_old_name_of_the_distance_is_accepted_with_a_note(tmp_path: Path) -> None:
    picture_folder(tmp_path / "my data", {"a": 2, "b": 2})
    result = run("audit", "my data", "--threshold", 9, cwd=tmp_path)
    assert result.stderr == "note: --threshold is called --near-bits here, and will go away.\n"
    assert json.loads((tmp_path / "audit.json").read_text())["threshold_bits"] == 9
    both = run("audit", "my data", "--threshold", 9, "--near-bits", 9, cwd=tmp_path)
    assert both.returncode == 2
    assert "give --near-bits alone" in both.stderr
    assert "--threshold" not in run("audit", "--help", cwd=tmp_path).stdout
