"""Archives that are not what they should be."""

import io
import stat
import struct
import zipfile

import pytest

from endoexit.datasets import unpack as module
from endoexit.datasets.unpack import unpack, unpacked_files
from endoexit.errors import DataError, WriteError

LIMITS = {"max_members": 100, "max_bytes": 10**6}


def archive(path, entries, **options):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in entries:
            opened.writestr(name, content)
    return path


def test_files_come_with_their_folders_and_without_clutter(tmp_path):
    entries = [("a/", b""), ("a/b/1.jpg", b"one"), ("a/2.jpg", b"two"),
               ("__MACOSX/a/._2.jpg", b"x"), ("a/.DS_Store", b"x")]  # fmt: skip
    path = archive(tmp_path / "a.zip", entries)
    assert unpack(path, tmp_path / "out", **LIMITS) == 2
    files = {str(p.relative_to(tmp_path / "out")): p.read_bytes()
             for p in (tmp_path / "out").rglob("*") if p.is_file()}  # fmt: skip
    assert files == {"a/b/1.jpg": b"one", "a/2.jpg": b"two"}
    assert unpacked_files(path, tmp_path / "out") == 2
    (tmp_path / "out" / "a" / "2.jpg").write_bytes(b"longer")
    assert unpacked_files(path, tmp_path / "out") is None


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("../outside.jpg", "leads out"),
        ("a/../../outside.jpg", "leads out"),
        ("a//b.jpg", "leads out"),
        ("./a.jpg", "leads out"),
        ("/etc/passwd", "no plain relative path"),
        ("C:/windows/a.jpg", "no plain relative path"),
        ("..\\outside.jpg", "no plain relative path"),
        ("a\n.jpg", "no plain relative path"),
        ("a" * 300 + ".jpg", "too long"),
    ],
)
def test_a_path_that_is_not_plain_is_refused_before_anything_is_written(tmp_path, name, why):
    inside = tmp_path / "in"
    inside.mkdir()
    path = archive(inside / "a.zip", [("fine/a.jpg", b"a"), (name, b"b")])
    with pytest.raises(DataError, match=why):
        unpack(path, tmp_path / "in" / "out", **LIMITS)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a.zip", "in"]


def test_a_name_that_zipfile_would_cut_at_a_nul_is_refused(tmp_path):
    path = archive(tmp_path / "a.zip", [("aXb.jpg", b"a"), ("b.jpg", b"b")])
    path.write_bytes(path.read_bytes().replace(b"aXb.jpg", b"a\0b.jpg"))
    with pytest.raises(DataError, match="no plain relative path"):
        unpack(path, tmp_path / "out", **LIMITS)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_a_link_or_device_is_refused(tmp_path, kind):
    entry = zipfile.ZipInfo("a/link.jpg")
    entry.create_system, entry.external_attr = 3, (kind | 0o777) << 16
    path = archive(tmp_path / "a.zip", [(entry, b"/etc/passwd")])
    with pytest.raises(DataError, match="is a link or a device"):
        unpack(path, tmp_path / "out", **LIMITS)
    assert not (tmp_path / "out").exists()


def test_bombs_are_refused_by_what_they_announce(tmp_path):
    path = archive(tmp_path / "a.zip", [("a.jpg", bytes(10**6)), ("b.jpg", bytes(10**6))])
    assert path.stat().st_size < 5000
    with pytest.raises(DataError, match="would unpack to 2 MiB, 1 are the most"):
        unpack(path, tmp_path / "out", **LIMITS)
    many = archive(tmp_path / "b.zip", [(f"{n}.jpg", b"") for n in range(101)])
    with pytest.raises(DataError, match="has 101 entries, 100 are the most"):
        unpack(many, tmp_path / "out", **LIMITS)


def test_a_bomb_that_lies_about_its_size_gives_no_more_than_it_announced(tmp_path):
    path = archive(tmp_path / "a.zip", [("a.jpg", bytes(10**7))])
    data = path.read_bytes().replace(struct.pack("<L", 10**7), struct.pack("<L", 10))
    path.write_bytes(data)
    with pytest.raises(DataError, match="damaged"):
        unpack(path, tmp_path / "out", **LIMITS)
    assert not (tmp_path / "out").exists()


def test_two_names_of_one_file_are_refused(tmp_path):
    path = archive(tmp_path / "a.zip", [("a/1.jpg", b"a"), ("A/1.JPG", b"b")])
    with pytest.raises(DataError, match="one file on many systems"):
        unpack(path, tmp_path / "out", **LIMITS)
    path = archive(tmp_path / "b.zip", [("a", b"a"), ("a/1.jpg", b"b")])
    with pytest.raises(DataError, match="as a file and as a folder"):
        unpack(path, tmp_path / "out", **LIMITS)


def test_a_damaged_file_leaves_nothing_behind(tmp_path):
    path = archive(tmp_path / "a.zip", [("a.jpg", b"first"), ("b.jpg", b"a longer content" * 99)])
    data = bytearray(path.read_bytes())
    place = data.index(b"b.jpg") + 9
    data[place] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"is damaged .*download it again"):
        unpack(path, tmp_path / "out", **LIMITS)
    assert [p.name for p in tmp_path.iterdir()] == ["a.zip"]


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"PK\x03\x04"])
def test_what_is_no_archive_is_refused(tmp_path, content):
    path = tmp_path / "a.zip"
    path.write_bytes(content)
    with pytest.raises(DataError, match="no ZIP archive"):
        unpack(path, tmp_path / "out", **LIMITS)


def test_an_encrypted_or_empty_archive_is_refused(tmp_path):
    path = archive(tmp_path / "a.zip", [("a.jpg", b"a")])
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="is encrypted"):
        unpack(path, tmp_path / "out", **LIMITS)
    empty = io.BytesIO()
    zipfile.ZipFile(empty, "w").close()
    path.write_bytes(empty.getvalue())
    with pytest.raises(DataError, match="has no file"):
        unpack(path, tmp_path / "out", **LIMITS)


def test_a_disk_without_room_is_told_before(tmp_path, monkeypatch):
    path = archive(tmp_path / "a.zip", [("a.jpg", bytes(500_000))])
    usage = module.shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(WriteError, match="free space, or choose another --out"):
        unpack(path, tmp_path / "out", **LIMITS)
