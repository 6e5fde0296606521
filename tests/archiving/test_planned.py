"""One image of a plan: its name, its row, and whether its file is what it was."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive_jobs import write_tar
from endoexit.archiving.planned import Planned, from_values, to_values
from endoexit.errors import ImageError
from endoexit.images.members import Member, list_members

NAMES = st.text(st.characters(exclude_characters="\0"), min_size=1, max_size=20).filter(
    lambda name: name.isprintable()
)


def test_names():
    member = Member("folder/a.png", 0, 1, 1)
    assert str(Planned("a.png", 1, 1)) == "a.png"
    assert str(Planned("a.tif", 1, 1, 3)) == "a.tif#3"
    assert str(Planned("b.tar", 1, 1, 0, member)) == "b.tar#folder/a.png"
    assert str(Planned("b.tar", 1, 1, 2, member)) == "b.tar#folder/a.png#2"


@given(NAMES, st.none() | NAMES, st.integers(0, 9), st.none() | st.integers(0, 2**32 - 1))
def test_a_row_gives_the_image_back(path, name, frame, crc):
    member = None if name is None else Member(name, 1, 2, 3, crc, crc is not None, "a fault")
    image = Planned(path, 5, 6, frame, member)
    assert from_values(to_values(image)) == image


def test_a_name_that_is_not_utf8_comes_back():
    image = Planned(os.fsdecode(b"\xff.png"), None, None, 0, Member("\udcff.png", 1, 2, 3))
    assert from_values(to_values(image)) == image


def test_the_content_is_that_of_the_file(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(b"content")
    monkeypatch.chdir(tmp_path)
    image = Planned.of("a.png")
    monkeypatch.chdir("/")
    assert image.read(tmp_path) == b"content"


def longer(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"x")


def newer(file: Path) -> None:
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1))


@pytest.mark.parametrize("change", [longer, newer, Path.unlink])
def test_a_change_is_noticed(tmp_path, change):
    (tmp_path / "a.png").write_bytes(b"content")
    tar = write_tar(tmp_path / "a.tar", {"b.png": b"member"})
    (member,) = list_members(tar)
    images = [Planned.of(str(tmp_path / "a.png")), Planned.of(str(tar), 0, member)]
    assert [image.read(tmp_path) for image in images] == [b"content", b"member"]
    for image in images:
        change(Path(image.path))
        with pytest.raises(ImageError, match="plan a job for it anew") as raised:
            image.read(tmp_path)
        assert raised.value.image is None


def test_a_change_while_it_is_read_is_noticed(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(b"content")
    image = Planned.of(str(tmp_path / "a.png"))

    def read(file: Path) -> bytes:
        longer(file)
        return file.read_bytes()

    monkeypatch.setattr("endoexit.archiving.planned.read_bytes", read)
    with pytest.raises(ImageError, match="has changed since the job was planned"):
        image.read(tmp_path)


def test_a_file_that_was_never_there_says_so(tmp_path):
    image = Planned.of(str(tmp_path / "missing.png"))
    with pytest.raises(ImageError, match=r"does not exist: check the path\."):
        image.read(tmp_path)
    (tmp_path / "missing.png").write_bytes(b"content")
    with pytest.raises(ImageError, match="has changed"):
        image.read(tmp_path)
