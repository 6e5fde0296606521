"""A path of a manifest finds its file, by its longest end, and never above the root."""

import os
import unicodedata
from pathlib import Path

import pytest

from endoexit.data.finding import Finder
from endoexit.errors import DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in (
        "polyp/1.jpg",
        "other/polyp/1.jpg",
        "1.jpg",
        "gr\u00f6\u00dfe/a.jpg",
        " odd /b.jpg",
    ):
        file = tmp_path / "root" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
    (tmp_path / "above.jpg").write_bytes(b"x")
    return tmp_path / "root"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("polyp/1.jpg", "polyp/1.jpg"),
        ("./polyp//1.jpg", "polyp/1.jpg"),
        (" polyp/1.jpg ", "polyp/1.jpg"),
        ("polyp\\1.jpg", "polyp/1.jpg"),
        ("/data/other/polyp/1.jpg", "other/polyp/1.jpg"),
        ("D:\\study\\polyp\\1.jpg", "polyp/1.jpg"),
        ("\\\\server\\share\\x\\1.jpg", "1.jpg"),
        (unicodedata.normalize("NFD", "gr\u00f6\u00dfe/a.jpg"), "gr\u00f6\u00dfe/a.jpg"),
        (" odd /b.jpg", " odd /b.jpg"),
        ("odd/b.jpg", " odd /b.jpg"),
    ],
)
def test_a_path_of_another_machine_is_found(root: Path, text: str, path: str) -> None:
    assert Finder(root).find(text, "m.csv, line 2") == path


def test_the_end_of_a_relative_path_is_not_enough(root: Path) -> None:
    assert Finder(root).find("study/polyp/1.jpg", "m.csv") == "study/polyp/1.jpg"


@pytest.mark.parametrize(
    "text", ["../above.jpg", "polyp/../../above.jpg", "..\\above.jpg", "/x.jpg", "C:\\x.jpg"]
)
def test_what_leads_out_of_the_root_is_refused(root: Path, text: str) -> None:
    with pytest.raises(DataError, match=r"m.csv, line 2: path .* leaves the data root; write"):
        Finder(root).find(text, "m.csv, line 2")


@pytest.mark.skipif(os.name == "nt", reason="names have no backslashes there")
def test_a_name_as_it_is_comes_first(root: Path) -> None:
    (root / "polyp\\1.jpg").write_bytes(b"x")
    assert Finder(root).find("polyp\\1.jpg", "m.csv") == "polyp\\1.jpg"
