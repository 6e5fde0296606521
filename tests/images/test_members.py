"""Members of tar and zip archives: found, read, refused; nothing is ever unpacked."""

import contextlib
import gc
import io
import random
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from archive_jobs import write_tar, write_zip
from endoexit.errors import DataError, ImageError
from endoexit.images import members
from endoexit.images.members import Member, list_members, read_beginning, read_member

CONTENT = {
    "a.png": b"first" * 100,
    "folder/é b.png": b"second",
    "folder/" + "long" * 60 + ".png": b"third" * 300,
    "empty.png": b"",
}
KINDS = {
    "folder": tarfile.DIRTYPE,
    "soft.png": tarfile.SYMTYPE,
    "hard.png": tarfile.LNKTYPE,
    "pipe.png": tarfile.FIFOTYPE,
}
STORED, DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED


def faults(path: Path) -> dict[str, str | None]:
    return {member.name: member.fault for member in list_members(path)}


def written(folder: Path, kind: str) -> Path:
    if kind == "tar":
        return write_tar(folder / "a.tar", CONTENT)
    return write_zip(folder / "a.zip", CONTENT, STORED if kind == "stored" else DEFLATED)


@pytest.mark.parametrize("kind", ["tar", "stored", "deflated"])
def test_members_are_read_one_by_one(tmp_path, kind):
    path = written(tmp_path, kind)
    members = list(list_members(path))
    assert [member.name for member in members] == list(CONTENT)
    for member in reversed(members):
        content = CONTENT[member.name]
        assert read_member(path, member) == content
        assert read_beginning(path, member, 4) == content[:4]
    assert list(tmp_path.iterdir()) == [path]


def test_folders_are_left_out_and_links_refused(tmp_path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        for name, kind in KINDS.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
    assert list(faults(path)) == ["soft.png", "hard.png", "pipe.png"]
    assert all("put the image itself in" in str(fault) for fault in faults(path).values())
    (first, *_) = list_members(path)
    assert read_beginning(path, first, 10) == b""
    with pytest.raises(ImageError, match="is a link"):
        read_member(path, first)


@pytest.mark.parametrize("name", ["../a.png", "/etc/a.png", "b/../../a.png", "..\\a.png"])
def test_names_that_lead_out_are_refused(tmp_path, name):
    files = (
        write_tar(tmp_path / "a.tar", {name: b"x"}),
        write_zip(tmp_path / "a.zip", {name: b"x"}),
    )
    for path in files:
        assert "leads out of its archive" in str(faults(path)[name])


def test_what_a_zip_may_not_hold(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as opened:
        link = zipfile.ZipInfo("link.png")
        link.external_attr = 0o120777 << 16
        opened.writestr(link, "/etc/passwd")
        opened.writestr("packed.png", b"x" * 100, zipfile.ZIP_BZIP2)
        opened.mkdir("folder")
    data = bytearray(path.read_bytes())
    assert "put the image itself in" in str(faults(path)["link.png"])
    assert "make the zip with deflate" in str(faults(path)["packed.png"])
    assert "folder/" not in faults(path)
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    assert "without a password" in str(faults(path)["link.png"])


def test_bombs_are_refused_by_their_headers(tmp_path, monkeypatch):
    monkeypatch.setattr(members, "RATIO_BYTES", 100_000)
    zeros = bytes(200_000)
    noise = random.Random(0).randbytes(10_000)
    path = write_zip(tmp_path / "a.zip", {"bomb.png": zeros, "fine.png": noise})
    assert "unpacks to more than 100 times" in str(faults(path)["bomb.png"])
    assert faults(path)["fine.png"] is None
    path = write_zip(tmp_path / "b.zip", {f"{number}.png": zeros for number in range(9)})
    with pytest.raises(DataError, match="so it is a bomb rather than images"):
        list(list_members(path))


def test_a_member_over_the_limit_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(members, "MAX_BYTES", 2**20)
    path = write_tar(tmp_path / "a.tar", {"a.png": bytes(2**20 + 1), "b.png": bytes(2**20)})
    assert faults(path) == {
        "a.png": "is larger than 1 MiB: convert it to a smaller image.", "b.png": None,
    }  # fmt: skip


def test_a_zip_with_too_many_members_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(members, "MAX_ZIP_MEMBERS", 3)
    with pytest.raises(DataError, match="divide it, or make a tar of it"):
        list(list_members(written(tmp_path, "stored")))


@pytest.mark.parametrize("kind", ["tar", "deflated"])
def test_archives_that_are_cut_off_are_refused(tmp_path, kind):
    path = written(tmp_path, kind)
    whole = path.read_bytes()
    sizes = (100, 700, 1400, 2500) if kind == "tar" else (100, len(whole) - 30)
    for size in sizes:
        path.write_bytes(whole[:size])
        with pytest.raises(DataError, match="is no archive, or is damaged"):
            list(list_members(path))


def test_a_damaged_header_in_the_middle_of_a_tar_is_not_its_end(tmp_path):
    path = write_tar(tmp_path / "a.tar", {"a.png": b"a" * 512, "b.png": b"b", "c.png": b"c"})
    data = bytearray(path.read_bytes())
    assert data[1024:1029] == b"b.png"
    data[1030] ^= 255
    path.write_bytes(data)
    with pytest.raises(DataError, match="the header at byte 1024 is none"):
        list(list_members(path))


def test_a_header_that_announces_gigabytes_is_not_read(tmp_path):
    path = tmp_path / "a.tar"
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 2**32
    path.write_bytes(info.tobuf(tarfile.USTAR_FORMAT) + bytes(1024))
    with pytest.raises(DataError, match="a header of 4294967296 bytes"):
        list(list_members(path))


def test_damaged_content_is_the_fault_of_one_image(tmp_path):
    path = written(tmp_path, "stored")
    data = bytearray(path.read_bytes())
    data[data.index(b"first")] ^= 255
    path.write_bytes(data)
    first, second, *_ = list_members(path)
    with pytest.raises(ImageError, match=r"is damaged or cut off \(Bad CRC-32"):
        read_member(path, first)
    assert read_member(path, second) == b"second"
    with pytest.raises(ImageError, match="there is no member where"):
        read_member(path, Member("x", 3, 1, 1, crc=1))
    with pytest.raises(ImageError, match="0 of 10 bytes are there"):
        read_member(path, Member("x", len(data), 10, 10))


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tgz", "a.tar.xz"])
def test_a_tar_that_is_compressed_is_refused(tmp_path, name):
    with pytest.raises(DataError, match=r"decompress it to a \.tar first"):
        list(list_members(tmp_path / name))


def test_a_missing_archive_is_refused(tmp_path):
    for name in ("a.tar", "a.zip"):
        with pytest.raises(DataError, match="check its path and permissions"):
            list(list_members(tmp_path / name))


@pytest.mark.parametrize("kind", ["tar", "deflated"])
def test_damage_of_every_kind_gives_an_expected_error(tmp_path, kind):
    path = written(tmp_path, kind)
    whole, dice = path.read_bytes(), random.Random(1)
    read = 0
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(dice.randint(1, 4)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        path.write_bytes(data)
        with contextlib.suppress(DataError):  # of which ImageError is one
            for member in list_members(path):
                with contextlib.suppress(ImageError):
                    read += len(read_member(path, member)) > 0
    assert read


def test_memory_does_not_grow_with_the_members_of_a_tar(tmp_path):
    path = tmp_path / "a.tar"
    block = tarfile.TarInfo("a.png").tobuf()
    path.write_bytes(block * 4000 + bytes(1024))
    for _ in list_members(path):  # what is imported on the way is not counted
        pass
    gc.collect()
    tracemalloc.start()
    try:
        assert sum(1 for _ in list_members(path)) == 4000
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_a_tar_with_a_comment_of_zeros_is_whole(tmp_path):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("a.png"))
    path = tmp_path / "a.tar"
    path.write_bytes(stream.getvalue() + bytes(10_000))
    assert list(faults(path)) == ["a.png"]


def parsed(kind: type[tarfile.TarInfo], header: bytes) -> object:
    try:
        info = kind.frombuf(header, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        return type(error)
    return info.name, info.size, info.type


@pytest.mark.parametrize("layout", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_header_is_parsed_as_tarfile_parses_it(layout):
    names = ("a.png", "é/b.png", "x" * 100, "y" * 60 + "/" + "z" * 60)
    dice, plain, refused = random.Random(0), 0, 0
    for name in names:
        info = tarfile.TarInfo(name)
        info.size, info.uname, info.mtime = 8**10 + 7, "someone", 1_700_000_000
        blocks = info.tobuf(layout)
        for start in range(0, len(blocks), tarfile.BLOCKSIZE):
            header = blocks[start : start + tarfile.BLOCKSIZE]
            for _ in range(300):
                changed = bytearray(header)
                for _ in range(dice.randint(0, 2)):
                    changed[dice.randrange(512)] = dice.choice(b"\0 0127/9\x80a")
                if dice.random() < 0.8:
                    changed[148:156] = b"%06o\0 " % (sum(changed) - sum(changed[148:156]) + 256)
                expected = parsed(tarfile.TarInfo, bytes(changed))
                assert parsed(members._Header, bytes(changed)) == expected
                plain += members._PLAIN.fullmatch(changed) is not None
                refused += expected is tarfile.InvalidHeaderError
    assert min(plain, refused) > 50  # both ways were taken
