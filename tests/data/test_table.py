"""Rows of someone's table find their image by path, end of path or name, and nothing else."""

from pathlib import Path

import pytest

from endoexit.data.folders import ImageFile
from endoexit.data.table import FOLD_COLUMNS, read_column
from endoexit.errors import DataError

FILES = (
    ImageFile("images/cecum/b.jpg", "cecum"),
    ImageFile("images/polyp/a.jpg", "polyp"),
    ImageFile("images/polyp/b.jpg", "polyp"),
)


def read(path: Path, text: str, *names: str) -> dict[str, str]:
    path.write_text(text, encoding="utf-8")
    return read_column(path, FILES, names or FOLD_COLUMNS).values


def test_hyperkvasirs_own_form_matches_by_name_and_class(tmp_path: Path) -> None:
    text = "file-name;class-name;split-index\na.jpg;polyp;0\nb.jpg;polyp;1\nb.jpg;cecum;0\n"
    assert read(tmp_path / "t.csv", text) == {
        "images/polyp/a.jpg": "0", "images/polyp/b.jpg": "1", "images/cecum/b.jpg": "0",
    }  # fmt: skip


@pytest.mark.parametrize(
    "name", ["images/polyp/a.jpg", "polyp/a.jpg", "a.jpg", "/data/x/polyp/a.jpg", r"polyp\a.jpg"]
)
def test_a_row_names_its_image_in_any_of_these_ways(tmp_path: Path, name: str) -> None:
    assert read(tmp_path / "t.csv", f"path,fold\n{name},2\n") == {"images/polyp/a.jpg": "2"}


def test_rows_without_image_empty_values_and_other_labels_are_told(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("File\tLabel\tFold\na.jpg\tcecum\t1\nzzz.jpg\tpolyp\t1\npolyp/b.jpg\tpolyp\t\n")
    column = read_column(path, FILES, FOLD_COLUMNS)
    assert column.values == {"images/polyp/a.jpg": "1"}
    assert column.other_label == ("images/polyp/a.jpg",)
    assert column.rows_without_image == 1
    assert column.name == "Fold"


def test_a_whole_path_wins_over_the_end_of_another(tmp_path: Path) -> None:
    files = (ImageFile("a/x.jpg", "a"), ImageFile("old/a/x.jpg", "a"))
    path = tmp_path / "t.csv"
    path.write_text("path,fold\na/x.jpg,1\n")
    assert read_column(path, files, FOLD_COLUMNS).values == {"a/x.jpg": "1"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,fold\nq.jpg,1\n", r"fits no image: its first row names 'q.jpg', the folder has"),
        ("path,fold\nb.jpg,1\n", r"names 'b.jpg', which fits 2 images .*: write paths relative"),
        ("path,fold\na.jpg,1\npolyp/a.jpg,2\n", r"two values of 'fold', '1' and '2': keep one"),
        ("path,patient\na.jpg,1\n", r"no column that was asked for \('fold' or .* it has path"),
        ("frame,fold\na.jpg,1\n", r"no column that names the image .* Rename one"),
        ("path,fold\na.jpg,1,2\n", r"line 2: not as many fields as in the header; put values"),
        ("path,fold\n", r"has no rows: it needs a header and one line"),
        ("", r"has no rows"),
        ('path,fold\n"a.jpg,1\n', r"is not a CSV in UTF-8"),
    ],
)
def test_faults_are_named_with_their_remedy(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path / "t.csv", text)


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no.csv does not exist: check its path"):
        read_column(tmp_path / "no.csv", FILES, FOLD_COLUMNS)
