"""Folders of Kvasir as they are found, and folders that are none."""

import pytest

from endoexit.datasets.layouts import recognise
from endoexit.errors import DataError
from kvasir_folders import KVASIR, hyperkvasir_files, kvasir_files, write


@pytest.mark.parametrize(
    "top",
    ["", "kvasir-dataset/", "kvasir-dataset-v2/kvasir-dataset-v2/", "a/b/c/", "images/"],
)
def test_kvasir_is_recognised_at_any_depth(tmp_path, top):
    recognised = recognise(write(kvasir_files(top), tmp_path / "d"))
    assert recognised.release.name == "kvasir-v1"
    assert sorted(recognised.classes) == KVASIR
    assert recognised.missing == ()
    assert len(recognised.listing.files) == 16


def test_the_version_is_told_by_the_number_of_images(tmp_path):
    files = {f"{name}/{n}.jpg": b"" for name in KVASIR for n in range(1000)}
    recognised = recognise(write(files, tmp_path / "d"))
    assert recognised.release.name == "kvasir-v2"
    assert not any("images of each class" in note for note in recognised.notes)
    small = recognise(write(kvasir_files(), tmp_path / "e"))
    assert "500 images of each class (version 1) or 1000" in "\n".join(small.notes)


@pytest.mark.parametrize(
    "rename",
    [
        str.upper,
        str.title,
        lambda name: name.replace("-", "_"),
        lambda name: name.replace("-", " "),
    ],
)
def test_other_spellings_of_the_folders_are_understood(tmp_path, rename):
    files = {f"{rename(name)}/{n}.jpg": b"" for name in KVASIR for n in range(2)}
    assert len(recognise(write(files, tmp_path / "d")).classes) == 8


def test_hyperkvasir_is_recognised_with_its_nested_folders(tmp_path):
    recognised = recognise(write(hyperkvasir_files(), tmp_path / "d"))
    assert recognised.release.name == "hyperkvasir"
    assert len(recognised.classes) == 23
    fact = recognised.classes["bbps-0-1"]
    assert (fact.kind, fact.tract) == ("quality", "lower")
    assert recognised.classes["z-line"].tract == "upper"


def test_a_part_of_hyperkvasir_is_enough_and_said(tmp_path):
    names = ["bbps-0-1", "bbps-2-3", "impacted-stool", "normal-cecum", "polyp"]
    files = {f"images/{name}/{n}.jpg": b"" for name in names for n in range(2)}
    recognised = recognise(write({**files, "masks/1.png": b""}, tmp_path / "d"))
    assert recognised.release.name == "hyperkvasir"
    assert recognised.classes["normal-cecum"].name == "cecum"
    assert len(recognised.missing) == 18
    assert recognised.notes[0].startswith("5 of 23 classes of HyperKvasir")


def test_other_parts_of_hyperkvasir_are_left_out(tmp_path):
    files = {f"labeled-images/lower-gi-tract/x/{name}/{n}.jpg": b""
             for name in ("cecum", "polyps", "ileum") for n in range(2)}  # fmt: skip
    files |= {"unlabeled-images/images/1.jpg": b"", "segmented-images/images/2.jpg": b""}
    recognised = recognise(write(files, tmp_path / "d"))
    assert len(recognised.listing.files) == 6
    assert any("Left out" in note and "unlabeled-images" in note for note in recognised.notes)


@pytest.mark.parametrize(
    ("files", "seen"),
    [
        ({"cats/1.jpg": b"", "dogs/1.jpg": b""}, r"cats \(1\), dogs \(1\)"),
        ({"readme.txt": b""}, "readme.txt"),
        ({}, "nothing"),
    ],
)
def test_a_folder_that_is_no_kvasir_says_what_was_looked_for_and_seen(tmp_path, files, seen):
    (tmp_path / "d").mkdir()
    folder = write(files, tmp_path / "d") if files else tmp_path / "d"
    with pytest.raises(DataError, match=f"Looked for .*dyed-lifted-polyps.*Seen: {seen}"):
        recognise(folder)


def test_a_missing_folder_is_called_so(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        recognise(tmp_path / "none")


def test_missing_classes_are_named_with_what_they_may_be_called(tmp_path):
    files = {path: b"" for path in kvasir_files() if "/polyps/" not in path}
    with pytest.raises(DataError, match=r"7 of the 8 classes of Kvasir; missing: polyps\."):
        recognise(write(files, tmp_path / "d"))
    files |= {f"kvasir-dataset/polips/{n}.jpg": b"" for n in range(2)}
    with pytest.raises(DataError, match="'polips' may be 'polyps'"):
        recognise(write(files, tmp_path / "d"))


def test_a_class_in_two_folders_is_refused(tmp_path):
    both = {**kvasir_files("v1/"), **kvasir_files("v2/")}
    with pytest.raises(DataError, match=r"in two folders of .*v1/dyed-lifted-polyps and v2/"):
        recognise(write(both, tmp_path / "d"))
    alias = kvasir_files("") | {"polyp/1.jpg": b""}
    with pytest.raises(DataError, match="'polyps' is in two folders"):
        recognise(write(alias, tmp_path / "e"))


def test_someones_train_and_test_are_read_as_one(tmp_path):
    files = {**kvasir_files("train/"), **kvasir_files("test/")}
    recognised = recognise(write(files, tmp_path / "d"))
    assert len(recognised.listing.files) == 32
    assert any("someone's own split" in note for note in recognised.notes)


def test_renamed_images_are_said(tmp_path):
    files = {f"{name}/{n}.jpg": b"" for name in KVASIR for n in range(2)}
    notes = recognise(write(files, tmp_path / "d")).notes
    assert any("16 images of 16 do not have the names of the authors" in note for note in notes)
    notes = recognise(write(kvasir_files(), tmp_path / "e")).notes
    assert not any("names of the authors" in note for note in notes)
