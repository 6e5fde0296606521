"""Which file of a tree has which label and part, in an order that no file system decides."""

import os
from pathlib import Path

import pytest

from endoexit.data.folders import ImageFile, list_images, natural_key
from endoexit.errors import DataError, UsageError


def tree(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        if not path.endswith("/"):
            (root / path).write_bytes(b"x")
        else:
            (root / path).mkdir(exist_ok=True)
    return root


def listed(root: Path, **options: list[str]) -> list[tuple[str, str, str]]:
    return [(f.path, f.label, f.part) for f in list_images(root, **options).files]


def test_natural_order_of_classes_and_files(tmp_path: Path) -> None:
    tree(tmp_path, "b/10.jpg", "b/9.jpg", "a/x.jpg", "b/1.jpg")
    assert [path for path, _, _ in listed(tmp_path)] == ["a/x.jpg", "b/1.jpg", "b/9.jpg",
                                                         "b/10.jpg"]  # fmt: skip
    assert list_images(tmp_path).classes == ("a", "b")


def test_order_does_not_depend_on_the_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(tmp_path, *(f"{label}/{n}.jpg" for label in "cab" for n in (2, 10, 1)))
    expected = listed(tmp_path)
    genuine = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda self: sorted(genuine(self), reverse=True))
    assert listed(tmp_path) == expected


def test_names_that_only_look_alike_have_keys_of_their_own() -> None:
    names = ["a/01.jpg", "a/1.jpg", "A/1.jpg"]
    assert len({str(natural_key(name)) for name in names}) == 3


@pytest.mark.parametrize(
    ("folder", "part"),
    [("train", "train"), ("Training", "train"), ("valid", "val"), ("validation", "val"),
     ("VAL", "val"), ("testing", "test"), ("test", "test"), ("calibrate", "calibrate")],
)  # fmt: skip
def test_split_folders_are_parts(tmp_path: Path, folder: str, part: str) -> None:
    tree(tmp_path, f"{folder}/polyp/1.jpg", f"{folder}/images/cecum/1.jpg")
    assert listed(tmp_path) == [(f"{folder}/images/cecum/1.jpg", "cecum", part)]
    (tmp_path / folder / "images" / "cecum" / "1.jpg").unlink()
    (tmp_path / folder / "images" / "cecum").rmdir()
    (tmp_path / folder / "images").rmdir()
    assert listed(tmp_path) == [(f"{folder}/polyp/1.jpg", "polyp", part)]


def test_beside_images_nothing_is_read(tmp_path: Path) -> None:
    tree(tmp_path, "images/polyp/1.jpg", "masks/1.png", "folds.csv", "boxes/polyp/1.json")
    listing = list_images(tmp_path)
    assert listing.files == (ImageFile("images/polyp/1.jpg", "polyp"),)
    assert listing.beside_images == ("boxes", "masks")


def test_masks_inside_a_class_are_not_read(tmp_path: Path) -> None:
    tree(tmp_path, "polyp/images/1.jpg", "polyp/masks/1.jpg", "cecum/1.jpg")
    assert listed(tmp_path) == [("cecum/1.jpg", "cecum", ""), ("polyp/images/1.jpg", "polyp", "")]


def test_levels_above_the_class_are_not_the_label(tmp_path: Path) -> None:
    tree(tmp_path, "lower-gi-tract/findings/polyps/1.jpg", "lower-gi-tract/notes.txt",
         "upper-gi-tract/z-line/1.jpg")  # fmt: skip
    assert [label for _, label, _ in listed(tmp_path)] == ["polyps", "z-line"]


def test_clutter_strays_and_empty_classes(tmp_path: Path) -> None:
    tree(tmp_path, "a/1.jpg", "a/.DS_Store", "a/Thumbs.db", "a/notes.txt", ".git/x.jpg", "b/",
         "stray.jpg", "README.md", "__MACOSX/a/1.jpg", "train/loose.png")  # fmt: skip
    listing = list_images(tmp_path)
    assert [file.path for file in listing.files] == ["a/1.jpg"]
    assert listing.notes == ("Passed over, no image by its suffix: 1 file: 1 .txt (a/notes.txt).",)
    assert listing.unlabelled == ("stray.jpg", "train/loose.png")
    assert listing.empty == ("b",)


def test_exclude_by_name_path_and_pattern(tmp_path: Path) -> None:
    tree(tmp_path, "a/1.jpg", "a/1_mask.png", "b/1.jpg", "c/old/1.jpg", "c/2.jpg")
    listing = list_images(tmp_path, ["*_mask.png", "b", "c/old"])
    assert [file.path for file in listing.files] == ["a/1.jpg", "c/2.jpg"]
    assert listing.excluded == ("a/1_mask.png", "b", "c/old")


def test_exclude_that_matches_nothing_is_refused(tmp_path: Path) -> None:
    tree(tmp_path, "a/1.jpg")
    with pytest.raises(UsageError, match=r"'maks' matches nothing in .* correct the pattern"):
        list_images(tmp_path, ["maks"])


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    tree(tmp_path, "store/1.jpg", "data/b/1.jpg")
    (tmp_path / "data" / "a").symlink_to(tmp_path / "store")
    (tmp_path / "data" / "c").symlink_to(tmp_path / "store")
    (tmp_path / "data" / "b" / "loop").symlink_to(tmp_path / "data")
    assert [path for path, _, _ in listed(tmp_path / "data")] == ["a/1.jpg", "b/1.jpg", "c/1.jpg"]


def test_missing_folder_file_and_folder_without_classes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no does not exist: check its path"):
        list_images(tmp_path / "no")
    tree(tmp_path, "x.jpg", "y.jpg")
    with pytest.raises(DataError, match=r"x.jpg is not a folder"):
        list_images(tmp_path / "x.jpg")
    with pytest.raises(
        DataError, match=r"no class folder with images \(2 images outside one\): put the images"
    ):
        list_images(tmp_path)


def test_a_name_that_is_not_text_is_refused(tmp_path: Path) -> None:
    tree(tmp_path, "a/1.jpg")
    try:
        (tmp_path / "a" / os.fsdecode(b"\xff.jpg")).write_bytes(b"x")
    except OSError:
        pytest.skip("this file system keeps names as text")
    with pytest.raises(DataError, match=r"is not valid UTF-8 .* rename it"):
        list_images(tmp_path)


@pytest.mark.parametrize(
    "folder",
    ["a/@eaDir", "lost+found/a"],
)
def test_folders_that_systems_leave_behind_are_skipped(tmp_path: Path, folder: str) -> None:
    tree(tmp_path, "a/1.jpg", f"{folder}/2.jpg", "a/._1.jpg", "a/desktop.ini")
    listing = list_images(tmp_path)
    assert [file.path for file in listing.files] == ["a/1.jpg"]
    assert listing.notes == ()


def test_patients_in_classes_are_groups_and_it_is_said(tmp_path: Path) -> None:
    tree(tmp_path, *(f"train/{c}/patient{n}/{n}.jpg" for c in ("polyps", "cecum") for n in (1, 2)),
         "train/cecum/loose.jpg", "test/polyps/patient3/images/1.jpg")  # fmt: skip
    listing = list_images(tmp_path)
    assert listing.classes == ("cecum", "polyps")
    assert listing.parts == ("train", "test")
    assert {(f.label, f.group) for f in listing.files} == {
        ("cecum", ""), ("cecum", "patient1"), ("cecum", "patient2"), ("polyps", "patient1"),
        ("polyps", "patient2"), ("polyps", "patient3"),
    }  # fmt: skip
    (note,) = listing.notes
    assert "are taken for class/group: 2 classes, 3 groups" in note
    assert "say --levels class" in note
    assert list_images(tmp_path, levels="class").classes == (
        "cecum", "patient1", "patient2", "patient3",
    )  # fmt: skip


def test_levels_can_be_said_where_names_do_not_tell(tmp_path: Path) -> None:
    tree(tmp_path, "Ann/polyps/1.jpg", "Ann/cecum/1.jpg", "Bob/polyps/1.jpg")
    listing = list_images(tmp_path)
    assert listing.classes == ("cecum", "polyps")
    assert "2 folders are called 'polyps' (Ann/polyps, Bob/polyps)" in listing.notes[0]
    grouped = list_images(tmp_path, levels="group/class")
    assert {(f.label, f.group) for f in grouped.files} == {
        ("polyps", "Ann"), ("cecum", "Ann"), ("polyps", "Bob"),
    }  # fmt: skip
    assert grouped.notes == ()
    assert list_images(tmp_path, levels="class/group").classes == ("Ann", "Bob")
    with pytest.raises(UsageError, match=r"needs folders inside the folders .* leave it out"):
        list_images(tmp_path / "Ann", levels="class/group")


def test_labels_have_no_blanks_and_one_form_of_accents(tmp_path: Path) -> None:
    tree(tmp_path, "polyps /1.jpg", "polyps/2.jpg", "gro\u0308\u00dfe/1.jpg")
    assert list_images(tmp_path).classes == ("gr\u00f6\u00dfe", "polyps")
