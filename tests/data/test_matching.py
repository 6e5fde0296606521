"""Rows of someone's table find their image by path, end of path or name, and nothing else."""

import unicodedata
from pathlib import Path

import pytest

from endoexit.data.folders import ImageFile
from endoexit.data.matching import FOLD_COLUMNS, read_column
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
        ("path,fold\na.jpg,1,2\n", r"line 2: not 2 fields as in the header, but 3; put values"),
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


@pytest.mark.parametrize(
    "text",
    [
        "sep=;\nfile;group\n{};p1\n",
        "File ,GROUP,,\n{},p1,,\n,,,\n",
        "file\tgroup\r\n{}\tp1\r\n",
        "file,group\r{},p1\r",
        '"file","group"\n"{}","p1 "\n\n',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("name", ["D:\\study\\polyp\\A.JPG", "/mnt/x/polyp/a.jpg", "a.jpg "])
def test_tables_as_programs_write_them(tmp_path: Path, text: str, encoding: str, name: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(text.format(name).encode(encoding))
    assert read_column(path, FILES, ("group",)).values == {"images/polyp/a.jpg": "p1"}


def test_accents_may_be_composed_or_not(tmp_path: Path) -> None:
    apart, together = (unicodedata.normalize(form, "größe.jpg") for form in ("NFD", "NFC"))
    for disk, table in ((apart, together), (together, apart)):
        (tmp_path / "t.csv").write_text(f"file,group\nx/{table},1\n", encoding="utf-8")
        files = (ImageFile(f"x/{disk}", "x"),)
        assert read_column(tmp_path / "t.csv", files, ("group",)).values == {f"x/{disk}": "1"}


def test_full_paths_of_another_machine_match_by_their_longest_end(tmp_path: Path) -> None:
    text = "file,group\nD:\\s\\polyp\\b.jpg,1\n/home/x/cecum/b.jpg,2\nE:\\cecum\\a.jpg,3\n"
    (tmp_path / "t.csv").write_text(text)
    column = read_column(tmp_path / "t.csv", FILES, ("group",))
    assert column.values == {"images/polyp/b.jpg": "1", "images/cecum/b.jpg": "2"}
    assert column.rows_without_image == 1  # cecum has no a.jpg; polyp's is not meant


def test_numbers_of_a_spreadsheet_are_one_or_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has '7' and '7.0', .* write it in one way"):
        read(tmp_path / "t.csv", "path,fold\na.jpg,7\npolyp/b.jpg,7.0\n")


def test_a_workbook_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"PK\x03\x04rest")
    with pytest.raises(DataError, match=r"is a workbook .* save it as CSV in UTF-8"):
        read_column(tmp_path / "t.csv", FILES, FOLD_COLUMNS)
