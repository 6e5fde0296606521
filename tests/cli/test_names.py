"""`--names index|hash`: no path of an image in what a command prints, nor in its rows of errors."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from endoexit.data.manifest import read_manifest, write_manifest
from endoexit.data.rows import ManifestRow
from pictures import near_copy, picture_folder, save
from tiny_project import endoexit, write_recipe

EMPTY = "is empty (0 bytes): restore it from its source or remove it."
KINDS = pytest.mark.parametrize("names", ["index", "hash"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes; images of every fate, and what is no image, are called after a patient."""
    root = picture_folder(tmp_path / "data", {"a": 5, "b": 5})
    save(near_copy(0), root / "b" / "Doe near.png")
    save(near_copy(4), root / "a" / "Doe kept.png")
    shutil.copy(root / "a" / "3.png", root / "a" / "Doe copy.png")
    (root / "a" / "Doe empty.jpg").write_bytes(b"")
    for place in ("a/Doe.txt", "Doe outside.png", "b/Doe mask.png"):
        shutil.copy(root / "a" / "1.png", root / place)
    return root


@pytest.fixture
def manifest(tiny_manifest: Path, tmp_path: Path) -> Path:
    """Some of the tiny pictures under a patient's name, and a broken one of three roles."""
    tiny = read_manifest(tiny_manifest)
    rows = []
    for number, row in enumerate(tiny.rows):
        if row.role in ("train", "test", "calibrate") and number % 20 > 9:
            name = f"{row.label}/Doe {number}.png"
            target = tmp_path / "images" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(tiny.root / row.path, target)
            rows.append(ManifestRow(name, row.label, f"Doe {number}", row.role))
    for role in ("train", "test", "calibrate"):
        name = f"blue/Doe {role}.png"
        (tmp_path / "images" / name).write_bytes(b"")
        rows.append(ManifestRow(name, "blue", f"Doe {role}", role))
    return write_manifest(tmp_path / "manifest.csv", rows, tmp_path / "images").path


def without(path: Path, *roles: str) -> Path:
    """Write a manifest without the broken images of some roles."""
    manifest = read_manifest(path)
    rows = [row for row in manifest.rows if row.path.removeprefix("blue/Doe ")[:-4] not in roles]
    return write_manifest(path.with_name("whole.csv"), rows, manifest.root).path


@KINDS
def test_an_audit(folder: Path, tmp_path: Path, names: str) -> None:
    (folder / "c" / "Doe levels").mkdir(parents=True)
    shutil.copy(folder / "a" / "2.png", folder / "c" / "Doe levels")
    folds = tmp_path / "folds.csv"
    folds.write_text("file,class,fold\na/Doe copy.png,b,1\na/0.png,a,2\n")
    for more in ([], ["--json"]):
        done = endoexit(
            "audit", folder, "--names", names, "--exclude", "*mask*", "--folds", folds,
            "--levels", "class/group", *more, cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert EMPTY in done.stdout
        assert "Doe" not in done.stdout + done.stderr
    text = (tmp_path / "audit.json").read_text()
    assert "Doe" not in text
    (broken,) = json.loads(text)["files"]["broken"]
    assert names == "hash" or broken["path"] == "7"  # the seventh labelled file
    with (tmp_path / "audit-groups.csv").open() as stream:  # which `endoexit split` reads
        assert "a/Doe copy.png" in {row["path"] for row in csv.DictReader(stream)}


def test_an_audit_without_names_is_as_ever(folder: Path, tmp_path: Path) -> None:
    done = endoexit("audit", folder, cwd=tmp_path)
    assert f"a/Doe empty.jpg {EMPTY}" in done.stdout
    assert "1 .txt (a/Doe.txt)" in done.stdout


@KINDS
def test_a_split(folder: Path, tmp_path: Path, names: str) -> None:
    for more in ([], ["--json"]):
        done = endoexit(
            "split", folder, "--roles", "train=.5,test=.5", "--names", names, *more, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        assert "Doe" not in done.stdout + done.stderr
    sidecar = (tmp_path / "manifest.csv.json").read_text()
    assert "Doe" not in sidecar
    left_out = json.loads(sidecar)["left_out"]
    assert list(left_out["broken"].values()) == [EMPTY]
    assert len(left_out["different_labels"]) == 4
    assert len(left_out["identical_copies"]) == 1
    assert "a/Doe kept.png" in (tmp_path / "manifest.csv").read_text()


@KINDS
@pytest.mark.parametrize(
    ("options", "groups", "message"),
    [
        (["--mixed", "refuse"], "", "with more than one label, as image "),
        (["--groups"], "a/0.png,Doe 1\n", "has no 'group' for 10 of 11 images, such as image "),
        (["--groups"], "Doe mask.png,Doe 1\nDoe mask.png,Doe 2\n", " two values of 'group': keep"),
        (["--groups"], "Doe gone.png,Doe 1\n", "fits no image. Give the table of this folder"),
    ],
)
def test_a_split_that_is_refused(
    folder: Path, options: list[str], groups: str, message: str, names: str
) -> None:
    tmp_path = folder.parent
    if groups:
        (tmp_path / "groups.csv").write_text(f"file,group\n{groups}")
        options = [*options, "groups.csv", "--exclude", "*near*"]
    done = endoexit("split", folder, "--names", names, *options, cwd=tmp_path)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Doe" not in done.stdout + done.stderr


def test_a_training(manifest: Path, tmp_path: Path) -> None:
    done = endoexit(
        "train", manifest, "--recipe", write_recipe(tmp_path), "--out", tmp_path / "run",
        "--names", "index",
    )  # fmt: skip
    assert done.returncode == 1
    assert "images cannot be read" in done.stderr
    assert EMPTY in done.stderr
    assert "Doe" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("command", "names"), [("evaluate", "index"), ("evaluate", "hash"), ("calibrate", "index")]
)
def test_a_broken_image_of_a_cohort(
    tiny_run: Path, manifest: Path, tmp_path: Path, command: str, names: str
) -> None:
    shutil.copytree(tiny_run, tmp_path / "run")
    goal = ["--max-macs", "1e9"] if command == "calibrate" else []
    line = (command, tmp_path / "run", "--manifest", manifest, *goal)
    done = endoexit(*line, "--names", names)
    assert done.returncode == 1
    assert "images cannot be read" in done.stderr
    assert "Doe" not in done.stdout + done.stderr
    rows = read_manifest(manifest).rows
    role = "test" if command == "evaluate" else command
    place = next(n for n, row in enumerate(rows, 1) if row.path == f"blue/Doe {role}.png")
    assert names == "hash" or f"  image {place} {EMPTY}" in done.stderr.splitlines()


def test_an_export(tiny_run: Path, manifest: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_run, tmp_path / "run")
    done = endoexit(
        "export", tmp_path / "run", "--manifest", manifest, "--backend", "torch",
        "--out", tmp_path / "bundle", "--names", "index",
    )  # fmt: skip
    assert done.returncode == 1
    assert EMPTY in done.stderr
    assert "Doe" not in done.stdout + done.stderr


def test_a_bench(tiny_run: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "Doe.png").write_bytes(b"")
    done = endoexit("bench", tiny_run, "--images", tmp_path / "new", "--names", "index")
    assert done.returncode == 1
    assert "image 1 " in done.stderr
    assert "Doe" not in done.stdout + done.stderr


def test_the_document_of_an_evaluation(tiny_run: Path, manifest: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_run, tmp_path / "run")
    whole = without(manifest, "test")
    done = endoexit(
        "evaluate", tmp_path / "run", "--manifest", whole, "--no-timing", "--json",
        "--names", "index",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Doe" not in done.stdout + done.stderr
    images = json.loads(done.stdout)["images"]
    rows = read_manifest(whole).rows
    places = [str(place) for place, row in enumerate(rows, 1) if row.role == "test"]
    assert images["paths"] == places
    assert images["groups"] == [f"the group of image {place}" for place in places]


@KINDS
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: [rows[0], *rows], "image 2 is in line 2 already"),
        (
            lambda rows: [rows[0], rows[1].replace("train", "tests")],
            "unknown role 'tests' of image",
        ),
        (lambda rows: [f"../{rows[0]}"], "line 2: path leaves the data root"),
        (lambda rows: [f"gone/{row}" for row in rows], "not found under"),
        (
            lambda rows: [rows[0], rows[1].replace("Doe 11,train", "Doe 10,test")],
            "a group has more than one role: the group of image 1 (test, train)",
        ),
        (
            lambda rows: [rows[0].replace("Doe 10,", "7,"), rows[1].replace("Doe 11,", "7.0,")],
            "two groups differ in capitals",
        ),
    ],
    ids=["twice", "role", "root", "missing", "leak", "spelling"],
)
def test_a_manifest_that_is_refused(
    manifest: Path, tmp_path: Path, change, message: str, names: str
) -> None:
    header, *rows = manifest.read_text().splitlines()
    manifest.write_text("\n".join([header, *change(rows)]) + "\n")
    done = endoexit("train", manifest, "--out", tmp_path / "run", "--names", names)
    assert done.returncode == 1
    assert names == "hash" or message in done.stderr
    assert "Doe" not in done.stdout + done.stderr
