"""Folders named like patients or videos are groups; folders named like classes are classes."""

import pytest

from endoexit.data.levels import Placed, choose_levels, label_and_group, level_notes


def placed(*paths: str) -> list[Placed]:
    return [Placed(path, tuple(path.split("/")[:-1]), "") for path in paths]


@pytest.mark.parametrize(
    "name",
    ["patient1", "P-03", "0017", "2021-03-04", "case 12", "vid_7", "3f2a9c1be0", "17b", "Nr.5"],
)
def test_ids_below_two_classes_are_groups(name: str) -> None:
    files = placed(f"polyps/{name}/1.jpg", f"cecum/{name}/1.jpg")
    assert choose_levels(files) == "class/group"
    assert label_and_group(files[0].levels, "class/group") == ("polyps", name)


@pytest.mark.parametrize(
    "paths",
    [
        ("lower/bbps-0-1/1.jpg", "lower/bbps-2-3/1.jpg", "upper/z-line/1.jpg"),
        ("0/1.jpg", "1/1.jpg"),
        ("scores/0/1.jpg", "scores/1/1.jpg"),  # one upper folder is no class
        ("polyps/grade-1/1.jpg", "cecum/grade-2/1.jpg"),
        ("polyps/facade/1.jpg", "cecum/defaced/1.jpg"),  # letters of a hash, but no digit
        ("patient1/1.jpg", "polyps/patient2/1.jpg"),  # nothing above the first
    ],
)
def test_otherwise_the_last_folder_is_the_class(paths: tuple[str, ...]) -> None:
    files = placed(*paths)
    assert choose_levels(files) == "class"
    assert {label_and_group(file.levels, "class") for file in files} == {
        (path.split("/")[-2], "") for path in paths
    }


@pytest.mark.parametrize("name", ["patient{}", "P-0{}", "video {}", "Case_{}", "exam{}"])
def test_folders_of_classes_inside_patients_are_classes_with_groups(name: str) -> None:
    files = placed(*(f"{name.format(n)}/{c}/1.jpg" for n in (1, 2) for c in ("polyps", "cecum")))
    assert choose_levels(files) == "group/class"
    assert label_and_group(files[0].levels, "group/class") == ("polyps", name.format(1))
    (note,) = level_notes(files, "group/class", None)
    assert "are taken for group/class: 2 classes, 2 groups" in note


@pytest.mark.parametrize(
    "paths",
    [
        ("2019/polyps/1.jpg", "2020/polyps/1.jpg", "2020/cecum/1.jpg"),  # years
        ("patient1/polyps/1.jpg", "patient1/cecum/1.jpg"),  # one patient
        ("patient1/polyps/1.jpg", "patient2/polyps/1.jpg"),  # one class
        ("patient1/polyps/1.jpg", "patient2/cecum/1.jpg", "others/cecum/1.jpg"),
    ],
)
def test_other_folders_above_classes_are_no_groups(paths: tuple[str, ...]) -> None:
    assert choose_levels(placed(*paths)) == "class"


@pytest.mark.parametrize(
    ("levels", "meaning", "asked", "expected"),
    [
        (("polyps", "patient1"), "class/group", False, ("polyps", "patient1")),
        (("polyps",), "class/group", False, ("polyps", "")),
        (("polyps", "video1", "seq2"), "class/group", False, ("polyps", "video1")),
        (("polyps", "Ann"), "class/group", False, ("Ann", "")),
        (("polyps", "Ann"), "class/group", True, ("polyps", "Ann")),
        (("Ann", "polyps"), "group/class", True, ("polyps", "Ann")),
        (("polyps",), "group/class", True, ("polyps", "")),
        ((" gro\u0308\u00dfe ", "p 1 "), "class/group", True, ("gr\u00f6\u00dfe", "p 1")),
    ],
)
def test_label_and_group_of_folders(levels, meaning, asked, expected) -> None:
    assert label_and_group(levels, meaning, asked=asked) == expected


def test_a_user_is_told_what_was_taken_for_a_group_and_what_was_joined() -> None:
    (note,) = level_notes(placed("a/p1/1.jpg", "b/p1/1.jpg", "b/p2/1.jpg"), "class/group", None)
    assert "Folders such as a/p1 are taken for class/group: 2 classes, 2 groups" in note
    (note,) = level_notes(placed("a/Smith/1.jpg", "b/Jones/1.jpg"), "class", None)
    assert "Of folders such as a/Smith the last one is taken for the class: 2 classes." in note
    assert "say --levels class/group" in note
    assert not list(level_notes(placed("a/1.jpg", "b/1.jpg"), "class", None))
    joined = placed("Ann/polyps/1.jpg", "Bob/polyps/1.jpg", "Ann/cecum/1.jpg", "Bob/cecum/1.jpg")
    (note,) = level_notes(joined, "class", None)
    assert "2 folders are called 'cecum' (Ann/cecum, Bob/cecum)" in note
    assert "their images are one class (2 such classes)." in note
    assert not list(level_notes(joined, "class", "class"))
