"""Trust on first use."""

import json

import pytest

from endoexit.datasets.catalog import RELEASES, Archive, Reported
from endoexit.datasets.trust import trusted_file, verify
from endoexit.errors import DataError
from endoexit.files import sha256_bytes

ARCHIVE = RELEASES["kvasir-v1"].archive


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def test_the_first_is_written_down_and_the_next_compared(tmp_path):
    file = tmp_path / "a.zip"
    file.write_bytes(b"content")
    assert verify("kvasir-v1", ARCHIVE, file, "http://a").first
    assert not verify("kvasir-v1", ARCHIVE, file, "another place").first
    known = json.loads(trusted_file().read_text())["archives"]["kvasir-v1/kvasir-dataset.zip"]
    assert (known["sha256"], known["size"], known["source"]) == (
        sha256_bytes(b"content"), 7, "http://a",
    )  # fmt: skip


def test_another_content_is_refused_with_the_way_out(tmp_path):
    file = tmp_path / "a.zip"
    file.write_bytes(b"content")
    verify("kvasir-v1", ARCHIVE, file, "http://a")
    file.write_bytes(b"c0ntent")
    with pytest.raises(DataError, match=r"another file than .*remove 'kvasir-v1/kvasir"):
        verify("kvasir-v1", ARCHIVE, file, "http://a")
    assert verify("kvasir-v2", ARCHIVE, file, "http://a").first  # of another data set


def test_what_others_reported_is_compared_and_decides_nothing(tmp_path):
    file = tmp_path / "a.zip"
    file.write_bytes(b"content")
    right = Archive("a.zip", (), "", 10, Reported(7, sha256_bytes(b"content"), "others"))
    assert verify("a", right, file, "x").notes == ()
    archive = Archive("a.zip", (), "", 10, Reported(7, sha256_bytes(b"c0ntent"), "others"))
    assert "others reported the SHA-256" in verify("b", archive, file, "x").notes[0]
    longer = Archive("a.zip", (), "", 10, Reported(8, None, "others"))
    assert (
        "others reported 8 bytes (others), this one has 7"
        in verify("c", longer, file, "x").notes[0]
    )


def test_a_damaged_book_is_said(tmp_path):
    file = tmp_path / "a.zip"
    file.write_bytes(b"content")
    trusted_file().parent.mkdir(parents=True)
    trusted_file().write_text('{"archives": 7}')
    with pytest.raises(DataError, match="remove it to trust the next archives anew"):
        verify("kvasir-v1", ARCHIVE, file, "http://a")
