"""Tables as programs write them are one table, and every fault is named with its line."""

from collections.abc import Callable
from pathlib import Path

import pytest

from endoexit.data.table import read_table
from endoexit.errors import DataError

TEXT = 'file,note\na.jpg,x\nb.jpg,"y, z"\n'


def read(path: Path, content: str | bytes, encoding: str = "utf-8"):
    path.write_bytes(content.encode(encoding) if isinstance(content, str) else content)
    return read_table(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text,
        lambda text: "sep=,\n" + text,
        lambda text: '"sep=,"\r\n' + text,
        lambda text: "\n ,,\n" + text,  # empty lines above the header
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", "\r"),
        lambda text: text.replace("\n", ",,\n"),
        lambda text: text + ",,\n\n",
        lambda text: text.replace("file,", " file ,").replace("b.jpg,", "b.jpg, "),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_all_of_these_are_the_same_table(
    tmp_path: Path, change: Callable[[str], str], encoding: str
) -> None:
    table = read(tmp_path / "t.csv", change(TEXT), encoding)
    assert table.header == ("file", "note")
    assert [line.fields for line in table.lines] == [("a.jpg", "x"), ("b.jpg", "y, z")]


@pytest.mark.parametrize("mark", [";", "\t"])
def test_the_header_tells_the_separator(tmp_path: Path, mark: str) -> None:
    table = read(tmp_path / "t.csv", f'"a, b"{mark}c{mark}d\n1,5{mark}2{mark}3\n')
    assert table.header == ("a, b", "c", "d")
    assert table.lines[0].fields == ("1,5", "2", "3")


def test_a_line_is_known_by_where_it_begins(tmp_path: Path) -> None:
    table = read(tmp_path / "t.csv", 'sep=,\na,b\n1,"two\nlines"\n\n3,4\n')
    assert [line.number for line in table.lines] == [3, 6]
    assert table.lines[0].fields == ("1", "two\nlines")
    assert table.where(table.lines[1]) == f"{tmp_path / 't.csv'}, line 6"


def test_columns_are_found_whatever_their_capitals(tmp_path: Path) -> None:
    table = read(tmp_path / "t.csv", "File,LABEL\na,b\n")
    assert table.column(("path", "file")) == 0
    assert table.column(("label",)) == 1
    assert table.column(("fold",)) is None
    twice = read(tmp_path / "t.csv", "file,File\na,b\n")
    with pytest.raises(DataError, match=r"has two columns 'file': rename or remove one"):
        twice.column(("file",))


def test_a_table_of_nothing_has_no_header(tmp_path: Path) -> None:
    assert read(tmp_path / "t.csv", "\n,,\n").header == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04rest", r"is a workbook or an archive, not a CSV: save it as CSV in UTF-8"),
        ("a,b\nh\u00e4,1\n".encode("latin-1"), r"line 2: is not a CSV in UTF-8 .*; save it as one"),
        (b"a,b\n\0,1\n", r"it has NUL bytes"),
        (b'a,b\n"1,2\n', r"line 2: is not a CSV in UTF-8"),
        (b"a,b\n1,2,3\n", r"line 2: not 2 fields as in the header, but 3; put .* ',' in double"),
        (b"a,b\n\n1\n", r"line 3: not 2 fields as in the header, but 1"),
        (b"version https://git-lfs.github.com/spec/v1\n", r"pointer of git LFS"),
    ],
)
def test_faults_are_named_with_their_remedy(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path / "t.csv", content)


def test_a_table_that_is_missing_or_too_large(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the table .*no.csv does not exist: check its path"):
        read_table(tmp_path / "no.csv")
    with (tmp_path / "large.csv").open("wb") as stream:
        stream.truncate((512 << 20) + 1)  # sparse: takes no space
    with pytest.raises(DataError, match=r"is larger than 512 MiB: not a table of images"):
        read_table(tmp_path / "large.csv")
