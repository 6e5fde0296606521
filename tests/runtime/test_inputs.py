import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from endoexit.errors import DataError
from endoexit.images.reference import ImageRef
from endoexit.naming import Naming, call_images, naming_kept
from endoexit.runtime.inputs import Inputs, read_list


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Images at several levels, and what is no image."""
    names = ("a10.jpg", "a2.JPG", "deep/er/b.png", "deep/c.tiff", "other/d.bmp",
             "notes.txt", ".hidden.jpg", ".git/e.jpg", "deep/masks.csv")  # fmt: skip
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def listed(*arguments, stdin=b""):
    return [str(image) for image in Inputs(arguments, io.BytesIO(stdin))]


def test_a_folder_stands_for_the_images_below_it_in_natural_order(tree):
    assert listed(".") == ["a2.JPG", "a10.jpg", "deep/c.tiff", "deep/er/b.png", "other/d.bmp"]


def test_a_file_is_taken_whatever_its_name_and_whether_it_exists(tree):
    assert listed("notes.txt", "missing.jpg") == ["notes.txt", "missing.jpg"]


def test_a_glob_is_resolved(tree):
    assert listed("a*.*") == ["a2.JPG", "a10.jpg"]
    assert listed("**/*.png") == ["deep/er/b.png"]
    assert listed("**") == listed(".")


def test_a_folder_in_a_glob_stands_for_what_is_below_it(tree):
    assert listed("[do]*") == ["deep/c.tiff", "deep/er/b.png", "other/d.bmp"]


def test_a_file_whose_name_looks_like_a_glob_is_that_file(tree):
    (tree / "x[1].jpg").touch()
    (tree / "x1.jpg").touch()
    assert listed("x[1].jpg") == ["x[1].jpg"]


def test_standard_input_gives_a_path_a_line(tree):
    lines = b"a2.JPG\r\n\nno such.jpg\n deep/c.tiff"
    assert listed("a10.jpg", "-", "other", stdin=lines) == [
        "a10.jpg", "a2.JPG", "no such.jpg", " deep/c.tiff", "other/d.bmp",
    ]  # fmt: skip


def test_paths_come_as_they_are_asked_for(tree):
    class Endless(io.BytesIO):
        def read1(self, size=-1):
            return b"x.jpg\n"

    images = iter(Inputs(["-"], Endless()))
    assert [next(images) for _ in range(3)] == [ImageRef(Path("x.jpg"))] * 3


def test_a_folder_without_images_is_an_error(tree):
    (tree / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty holds no images \(\.apng, .*check its path"):
        listed("empty")


def test_a_glob_without_a_match_is_an_error(tree):
    with pytest.raises(DataError, match=r"pattern '\*\.webp' matches no images"):
        listed("*.webp")


def test_linked_folders_are_followed_once(tree):
    (tree / "deep" / "loop").symlink_to(tree / "deep")
    (tree / "linked").symlink_to(tree / "other")
    assert listed("deep") == ["deep/c.tiff", "deep/er/b.png"]
    assert listed("linked") == ["linked/d.bmp"]


def test_a_folder_that_cannot_be_listed_is_an_error(tree, monkeypatch):
    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match=r"deep cannot be listed \(Permission denied\)"):
        listed("deep")


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (b"a.jpg\r\nb.jpg\r\n", ["a.jpg", "b.jpg"]),
        (b"\xef\xbb\xbfa.jpg\n", ["a.jpg"]),
        ("\ufeffé.jpg\r\nb.jpg".encode("utf-16-le"), ["é.jpg", "b.jpg"]),
        ("\ufeffé.jpg\n".encode("utf-16-be"), ["é.jpg"]),
        (b"a\nb.jpg\0c\r.jpg\0", ["a\nb.jpg", "c\r.jpg"]),
        (b"a.jpg\0b.jpg", ["a.jpg", "b.jpg"]),
        (b"caf\xe9.jpg\n", [os.fsdecode(b"caf\xe9.jpg")]),
        (b"", []),
        (b"\n\n", []),
    ],
)
def test_lists_as_other_programs_write_them(given, names):
    assert list(read_list(io.BytesIO(given))) == names


def plain_name(name):
    marks = (b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")
    return b"\0" not in name and not name.startswith(marks)


@given(st.lists(st.binary(min_size=1).filter(plain_name), min_size=1))
def test_any_name_comes_back_from_a_list_with_nul_bytes(names):
    stream = io.BytesIO(b"\0".join(names) + b"\0")
    assert [os.fsencode(name) for name in read_list(stream, null=True)] == names


def test_a_list_without_an_end_is_refused():
    class Endless(io.BytesIO):
        def read1(self, size=-1):
            return b"x" * size

    with pytest.raises(DataError, match="is no list of paths: write one path a line"):
        next(read_list(Endless()))


def test_frames_are_named_by_their_number_unless_a_file_has_that_name(tree):
    (tree / "scan#3").touch()
    images = list(Inputs(["clip.gif#12", "scan#3", "other.gif#0"]))
    assert images == [
        ImageRef(Path("clip.gif"), 12), ImageRef(Path("scan#3")), ImageRef(Path("other.gif")),
    ]  # fmt: skip


def test_what_systems_leave_behind_is_skipped_and_other_files_are_counted(tree):
    for name in ("@eaDir/a.jpg", "#recycle/b.jpg", "$RECYCLE.BIN/c.jpg", "lost+found/d.jpg",
                 "deep/__MACOSX/e.jpg", "._a2.jpg", "Thumbs.db"):  # fmt: skip
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).touch()
    inputs = Inputs(["."])
    assert [image.path.name for image in inputs] == [
        "a2.JPG",
        "a10.jpg",
        "c.tiff",
        "b.png",
        "d.bmp",
    ]
    words = inputs.passed_over.words()
    assert words == (
        "Passed over, no image by its suffix: 2 files: 1 .csv (deep/masks.csv); 1 .txt (notes.txt)"
    )


def test_errors_keep_names_to_themselves_when_asked(tree):
    (tree / "Doe, Jane").mkdir()
    with naming_kept():
        call_images(Naming("index"))
        for argument in ("Doe, Jane", "Doe*.jpg"):
            with pytest.raises(DataError, match=r"holds no images|matches no images") as caught:
                list(Inputs([argument]))
            assert "Doe" not in str(caught.value)
