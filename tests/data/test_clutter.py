"""What is no image is known by its name, and counted where it is passed over."""

from pathlib import Path

import pytest

from endoexit.data.clutter import PassedOver, is_clutter, is_image
from endoexit.naming import Naming, call_images, naming_kept


@pytest.mark.parametrize(
    "name",
    [".DS_Store", "._1.jpg", ".git", ".@__thumb", ".Trash-1000", "@eaDir", "#recycle",
     "~snapshot", "FOUND.001", "$RECYCLE.BIN", "RECYCLER", "lost+found",
     "System Volume Information", "Thumbs.db", "desktop.ini", "__MACOSX", "Icon\r"],
)  # fmt: skip
def test_leftovers_of_systems_are_clutter_in_any_capitals(name: str) -> None:
    assert is_clutter(name)
    assert is_clutter(name.upper())


@pytest.mark.parametrize("name", ["polyps", "found", "1.jpg", "thumbs", "Icon", "#1"])
def test_names_of_users_are_not(name: str) -> None:
    assert not is_clutter(name)


def test_an_image_is_known_by_its_suffix_in_any_capitals() -> None:
    names = ["a.JPG", "a.jpeg", "a.tif", "a.j2k", "a.b.png", "jpg", "a.txt", "a.jpg.txt", "a"]
    assert [name for name in names if is_image(Path(name))] == names[:5]


def test_what_is_passed_over_is_counted_with_three_examples_of_each_kind() -> None:
    passed = PassedOver()
    for number in range(5):
        passed.add(f"a/{number}.TXT")
    passed.add("b/README")
    assert len(passed) == 6
    assert passed.words() == (
        "Passed over, no image by its suffix: 6 files: 5 .txt (a/0.TXT, a/1.TXT, a/2.TXT, ...); "
        "1 without suffix (b/README)"
    )
    assert passed.document()[0] == {
        "suffix": ".txt", "files": 5, "examples": ["a/0.TXT", "a/1.TXT", "a/2.TXT"],
    }  # fmt: skip


def test_names_may_be_left_out() -> None:
    passed = PassedOver()
    passed.add("Ann/1.txt")
    with naming_kept():
        call_images(Naming("hash"))
        assert passed.words() == "Passed over, no image by its suffix: 1 file: 1 .txt"
        assert passed.document() == [{"suffix": ".txt", "files": 1, "examples": []}]
