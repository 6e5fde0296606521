"""A manifest is read back as written, and every fault in one is named with its remedy."""

import json
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from endoexit.data.manifest import read_manifest, sidecar_path, write_manifest
from endoexit.data.rows import ROLES, ManifestRow
from endoexit.errors import DataError, UsageError
from endoexit.images.reference import ImageRef

HEADER = "path,label,group,role\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("polyp/1.jpg", "polyp/2.jpg", "cecum/a, b.jpg"):
        file = tmp_path / "images" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
    return tmp_path / "images"


ROWS = (
    ManifestRow("polyp/1.jpg", "polyp", "g1", "train"),
    ManifestRow("polyp/2.jpg", "polyp", "g1", "train"),
    ManifestRow("cecum/a, b.jpg", "cecum", "g2", "test"),
)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_read_equals_written(root: Path, tmp_path: Path) -> None:
    written = write_manifest(tmp_path / "out" / "m.csv", ROWS, root, {"seed": 3})
    read = read_manifest(tmp_path / "out" / "m.csv")
    assert read == written
    assert read.rows == ROWS
    assert read.classes == ("cecum", "polyp")
    sidecar = json.loads(sidecar_path(tmp_path / "out" / "m.csv").read_text())
    counts = {"train": {"cecum": 0, "polyp": 2}, "test": {"cecum": 1, "polyp": 0}}
    assert read.counts() == counts
    assert sidecar == {"root": "../images", "sha256": read.sha256, "counts": counts, "seed": 3}


def test_manifest_and_data_move_together(root: Path, tmp_path: Path) -> None:
    write_manifest(tmp_path / "m.csv", ROWS, root)
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for name in ("m.csv", "m.csv.json", "images"):
        shutil.move(tmp_path / name, moved / name)
    assert read_manifest(moved / "m.csv").root == moved / "images"


def test_cohort_holds_absolute_paths_and_label_indices(root: Path, tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path / "m.csv", ROWS, root)
    cohort = manifest.cohort("train")
    assert cohort.images == (ImageRef(root / "polyp/1.jpg"), ImageRef(root / "polyp/2.jpg"))
    assert len(cohort) == 2
    assert cohort.labels.dtype == np.int64
    assert cohort.labels.tolist() == [1, 1]
    assert cohort.groups.tolist() == ["g1", "g1"]
    assert manifest.has("test")
    assert not manifest.has("certify")


def test_classes_of_a_network_keep_their_order_and_indices(root: Path, tmp_path: Path) -> None:
    write_manifest(tmp_path / "m.csv", ROWS, root)
    manifest = read_manifest(tmp_path / "m.csv", classes=("polyp", "ulcer", "cecum"))
    assert manifest.classes == ("polyp", "ulcer", "cecum")
    assert manifest.cohort("test").labels.tolist() == [2]


def test_root_is_argument_then_sidecar_then_own_folder(root: Path, tmp_path: Path) -> None:
    inside = write(root / "m.csv", HEADER + "polyp/1.jpg,polyp,1,val\n")
    assert read_manifest(inside).root == root
    outside = write(tmp_path / "m.csv", inside.read_text())
    assert read_manifest(outside, root).root == root
    with pytest.raises(DataError, match="1 of 1 image not found"):
        read_manifest(outside)


def test_byte_order_mark_extra_columns_and_dotted_paths_are_read(root: Path) -> None:
    text = "\ufeffrole,path,label,group,note\nval,./polyp//1.jpg,polyp,1,hello\n"
    assert read_manifest(write(root / "m.csv", text)).rows == (
        ManifestRow("polyp/1.jpg", "polyp", "1", "val"),
    )


def test_missing_files_are_counted_and_five_are_named(root: Path) -> None:
    lines = "".join(f"polyp/no{i}.jpg,polyp,{i},train\n" for i in range(8))
    path = write(root / "m.csv", HEADER + "polyp/1.jpg,polyp,x,train\n" + lines)
    with pytest.raises(DataError) as caught:
        read_manifest(path)
    text = str(caught.value)
    assert "8 of 9 images not found" in text
    assert "polyp/no4.jpg and 3 more" in text
    assert "no5" not in text
    assert "Bring them back" in text


def test_missing_manifest_and_missing_root(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist: check its path, or make one with"):
        read_manifest(tmp_path / "no.csv")
    (tmp_path / "my images").mkdir()
    with pytest.raises(DataError, match=r"is a folder, not a manifest\..* split '.*/my images'$"):
        read_manifest(tmp_path / "my images")
    write_manifest(tmp_path / "m.csv", ROWS, root)
    root.rename(tmp_path / "gone")
    with pytest.raises(DataError, match=r"does not exist: bring it back, .* `root` into .*json"):
        read_manifest(tmp_path / "m.csv")


def test_sidecar_without_root_is_refused(root: Path) -> None:
    path = write(root / "m.csv", HEADER + "polyp/1.jpg,polyp,1,train\n")
    write(sidecar_path(path), "[]")
    with pytest.raises(DataError, match="has no text `root`: write the folder"):
        read_manifest(path)


def test_latin1_is_refused(root: Path) -> None:
    path = root / "m.csv"
    path.write_bytes((HEADER + "pölyp/1.jpg,polyp,1,train\n").encode("latin-1"))
    with pytest.raises(DataError, match="is not a CSV in UTF-8"):
        read_manifest(path)


def test_asking_for_a_role_that_is_not_there(root: Path, tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path / "m.csv", ROWS, root)
    with pytest.raises(DataError, match=r"no image with the role 'certify' \(it has train, test\)"):
        manifest.cohort("certify")
    with pytest.raises(UsageError, match="unknown role 'tests': did you mean 'test'"):
        manifest.cohort("tests")


def test_writing_refuses_what_reading_would(root: Path, tmp_path: Path) -> None:
    leaking = (*ROWS, ManifestRow("cecum/a, b.jpg", "cecum", "g1", "val"))
    with pytest.raises(DataError, match="more than one role: 'g1'"):
        write_manifest(tmp_path / "m.csv", leaking, root)
    assert not (tmp_path / "m.csv").exists()
    assert not sidecar_path(tmp_path / "m.csv").exists()


def test_the_prototypes_splits_are_read(real_data: Path, prototype_splits: Path) -> None:
    for name, counts in (("colonoscopy", 2150), ("otoscopy", 811)):
        split = prototype_splits / f"{name}_prototype_split.csv"
        manifest = read_manifest(split, real_data / name)
        assert [role for role in ROLES if manifest.has(role)] == [
            "train", "val", "calibrate", "test",
        ]  # fmt: skip
        assert len(manifest.rows) == counts


def test_import_is_light() -> None:
    code = (
        "import sys, endoexit.data.manifest; print('torch' in sys.modules, 'pandas' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == ["False", "False"]


def test_frames_have_a_column_only_where_there_are_some(root: Path, tmp_path: Path) -> None:
    frames = (*ROWS, ManifestRow("polyp/1.jpg", "polyp", "g1", "train", 12))
    written = write_manifest(tmp_path / "m.csv", frames, root)
    assert read_manifest(tmp_path / "m.csv") == written
    assert written.cohort("train").names[-1] == "polyp/1.jpg#12"
    assert (tmp_path / "m.csv").read_text().startswith("path,label,group,role,frame\n")
    write_manifest(tmp_path / "m.csv", ROWS, root)
    assert (tmp_path / "m.csv").read_text().startswith(HEADER)


@pytest.mark.parametrize(
    "folder", ["polyp\r", " polyp ", "po\nlyp", 'po"lyp', "=polyp", "'polyp'", "a;b"]
)
def test_odd_names_are_read_back_as_written(tmp_path: Path, folder: str) -> None:
    (tmp_path / "images" / folder).mkdir(parents=True)
    (tmp_path / "images" / folder / "1.jpg").write_bytes(b"x")
    rows = (ManifestRow(f"{folder}/1.jpg", folder, folder, "train"),)
    written = write_manifest(tmp_path / "m.csv", rows, tmp_path / "images")
    assert read_manifest(tmp_path / "m.csv") == written


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(",", ";"),
        lambda text: text.replace("path,label,group,role", " Path,LABEL,Group ,Role"),
        lambda text: text.replace("/", "\\"),
        lambda text: text.replace("polyp/", "C:\\data\\polyp\\"),
        lambda text: text.replace("polyp/", "/mnt/other/polyp/"),
        lambda text: text.replace(",polyp,", ",polyp ,"),
        lambda text: text.replace("train", "Train"),
    ],
)
def test_manifests_that_another_program_saved_are_the_same(
    root: Path, tmp_path: Path, change: Callable[[str], str]
) -> None:
    rows = ROWS[:2]
    write_manifest(tmp_path / "m.csv", rows, root)
    text = change((tmp_path / "m.csv").read_text())
    (tmp_path / "m.csv").write_bytes(text.encode("utf-16"))
    assert read_manifest(tmp_path / "m.csv").rows == rows


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_accents_may_be_composed_or_not(tmp_path: Path, forms: tuple[str, str]) -> None:
    disk, table = (unicodedata.normalize(form, "größe") for form in forms)
    (tmp_path / disk).mkdir()
    (tmp_path / disk / "é.jpg").write_bytes(b"x")
    write(tmp_path / "m.csv", f"{HEADER}{table}/é.jpg,{table},1,train\n")
    (row,) = read_manifest(tmp_path / "m.csv").rows
    assert (row.path, row.label) == (f"{disk}/é.jpg", unicodedata.normalize("NFC", "größe"))
