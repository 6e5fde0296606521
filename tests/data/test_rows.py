"""Rows of a manifest: every fault is named with its line and its remedy."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from endoexit.data.finding import Finder
from endoexit.data.rows import ManifestRow, check_rows, parse_rows
from endoexit.errors import DataError

HEADER = "path,label,group,role\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("polyp/1.jpg", "polyp/2.jpg"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
    return tmp_path


def read(root: Path, text: str, classes: Sequence[str] | None = None) -> list[ManifestRow]:
    path = root / "m.csv"
    rows = parse_rows(path, text.encode(), Finder(root), classes)
    check_rows(path, rows, classes)
    return rows


def test_fields_are_cleaned_and_a_frame_is_a_number(root: Path) -> None:
    header = "Role,frame,path,label,group\n"
    text = header + "Train,,polyp/1.jpg, polyp , p 1 \nTEST,12.0,polyp/2.jpg,b,2\n"
    assert read(root, text) == [
        ManifestRow("polyp/1.jpg", "polyp", "p 1", "train"),
        ManifestRow("polyp/2.jpg", "b", "2", "test", 12),
    ]


def test_a_file_may_be_there_once_for_each_frame(root: Path) -> None:
    text = "path,label,group,role,frame\npolyp/1.jpg,a,1,train,0\npolyp/1.jpg,a,1,train,1\n"
    assert [row.name for row in read(root, text)] == ["polyp/1.jpg", "polyp/1.jpg#1"]
    with pytest.raises(DataError, match=r"a path is there more than once: polyp/1.jpg#1; keep one"):
        check_rows(root / "m.csv", [ManifestRow("polyp/1.jpg", "a", "1", "train", 1)] * 2, None)


@pytest.mark.parametrize(
    ("text", "fault", "remedy"),
    [
        ("", "has no header", "`endoexit split DIR`"),
        ("polyp/1.jpg,polyp,1,train\n", "has no header", "path,label,group,role"),
        ("path,label,role\n", "has no column group", "endoexit split"),
        (HEADER, "names no image", "endoexit split"),
        (HEADER + "polyp/1.jpg,polyp,1,tain\n", "unknown role 'tain'", "did you mean 'train'?"),
        (HEADER + "polyp/1.jpg,polyp,1,x\n", "unknown role 'x'", "use one of train, val"),
        (HEADER + "polyp/1.jpg,,1,train\n", "line 2: empty label", "fill it in"),
        (HEADER + "polyp/1.jpg,polyp, ,train\n", "line 2: empty group", "group by itself"),
        (HEADER + "polyp/1.jpg,polyp,train\n", "line 2: not 4 fields", "double quotes"),
        (HEADER + "a, b.jpg,polyp,1,train\n", "line 2: not 4 fields", "double quotes"),
        (HEADER + "../x.jpg,polyp,1,train\n", "leaves the data root", "relative to the root"),
        (HEADER + "/x.jpg,polyp,1,train\n", "leaves the data root", "relative to the root"),
        (HEADER + '"polyp/1.jpg,polyp,1,train\n', "is not a CSV in UTF-8", "save it as one"),
        (
            HEADER + "polyp/1.jpg,polyp,7,train\npolyp/2.jpg,polyp,7,test\n",
            "a group has more than one role: '7' (test, train)",
            "give each group one role",
        ),
        (
            HEADER + "polyp/1.jpg,polyp,1,train\n./polyp/1.jpg,polyp,1,train\n",
            "line 3: polyp/1.jpg is in line 2 already",
            "keep one line for each image",
        ),
    ],
)
def test_faults_are_named_with_their_remedy(root: Path, text: str, fault: str, remedy: str) -> None:
    with pytest.raises(DataError) as caught:
        read(root, text)
    assert fault in str(caught.value)
    assert remedy in str(caught.value)
    assert str(root / "m.csv") in str(caught.value)


def test_unknown_label_names_the_known_ones(root: Path) -> None:
    text = HEADER + "polyp/1.jpg,polyp,1,train\n"
    with pytest.raises(DataError, match=r"unknown label 'polyp'; known are cecum, ulcer\. Rename"):
        read(root, text, ("cecum", "ulcer"))


def test_a_frame_that_is_no_number_is_refused(root: Path) -> None:
    text = "path,label,group,role,frame\npolyp/1.jpg,polyp,1,train,two\n"
    with pytest.raises(DataError, match=r"line 2: the frame 'two' is no number .* leave the field"):
        read(root, text)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("polyp/1.jpg,polyp,1,train\npolyp/2.jpg,Polyp,2,train\n", "labels 'polyp' and 'Polyp'"),
        ("polyp/1.jpg,1,1,train\npolyp/2.jpg,1.0,2,train\n", "labels '1' and '1.0' differ"),
        ("polyp/1.jpg,a,7,train\npolyp/2.jpg,a,7.0,test\n", "groups '7' and '7.0' differ"),
    ],
)
def test_spellings_that_would_count_as_two_are_refused(
    root: Path, lines: str, message: str
) -> None:
    with pytest.raises(DataError, match=rf"the {message}.*write them in one way"):
        read(root, HEADER + lines)


def test_a_class_that_a_first_release_kept_with_its_blank_is_found(root: Path) -> None:
    text = HEADER + '"polyp/1.jpg","polyp ",1,train\n'
    assert read(root, text, ("cecum", "polyp "))[0].label == "polyp "
