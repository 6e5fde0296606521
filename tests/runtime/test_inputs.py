import io
from pathlib import Path

import pytest

from endoexit.errors import DataError
from endoexit.runtime.inputs import image_paths


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


def found(*arguments, stdin=""):
    return [path.as_posix() for path in image_paths(arguments, io.StringIO(stdin))]


def test_a_folder_stands_for_the_images_below_it_in_natural_order(tree):
    assert found(".") == ["a2.JPG", "a10.jpg", "deep/c.tiff", "deep/er/b.png", "other/d.bmp"]


def test_a_file_is_taken_whatever_its_name_and_whether_it_exists(tree):
    assert found("notes.txt", "missing.jpg") == ["notes.txt", "missing.jpg"]


def test_a_glob_is_resolved(tree):
    assert found("a*.*") == ["a2.JPG", "a10.jpg"]
    assert found("**/*.png") == ["deep/er/b.png"]
    assert found("**") == found(".")


def test_a_folder_in_a_glob_stands_for_what_is_below_it(tree):
    assert found("[do]*") == ["deep/c.tiff", "deep/er/b.png", "other/d.bmp"]


def test_a_file_whose_name_looks_like_a_glob_is_that_file(tree):
    (tree / "x[1].jpg").touch()
    (tree / "x1.jpg").touch()
    assert found("x[1].jpg") == ["x[1].jpg"]


def test_standard_input_gives_a_path_a_line(tree):
    lines = "a2.JPG\r\n\nno such.jpg\n deep/c.tiff"
    assert found("a10.jpg", "-", "other", stdin=lines) == [
        "a10.jpg", "a2.JPG", "no such.jpg", " deep/c.tiff", "other/d.bmp",
    ]  # fmt: skip


def test_paths_come_as_they_are_asked_for(tree):
    def endless():
        while True:
            yield "x.jpg\n"

    paths = image_paths(["-"], endless())
    assert [next(paths) for _ in range(3)] == [Path("x.jpg")] * 3


def test_a_folder_without_images_is_an_error(tree):
    (tree / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty holds no images \(\.apng, .*check its path"):
        found("empty")


def test_a_glob_without_a_match_is_an_error(tree):
    with pytest.raises(DataError, match=r"pattern '\*\.webp' matches no images"):
        found("*.webp")


def test_linked_folders_are_followed_once(tree):
    (tree / "deep" / "loop").symlink_to(tree / "deep")
    (tree / "linked").symlink_to(tree / "other")
    assert found("deep") == ["deep/c.tiff", "deep/er/b.png"]
    assert found("linked") == ["linked/d.bmp"]


def test_a_folder_that_cannot_be_listed_is_an_error(tree, monkeypatch):
    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(DataError, match=r"deep cannot be listed \(Permission denied\)"):
        found("deep")
