"""Downloads over a real connection of this machine: breaks, changed files, faults of servers."""

import json
import random

import pytest

from endoexit.datasets import download as module
from endoexit.datasets.download import ATTEMPTS, download
from endoexit.errors import DataError, UsageError, WriteError
from loopback import serving

CONTENT = random.Random(0).randbytes(200_000)
MOST = 10**9


def fetch(server, target, path="/a.zip", **options):
    return download([server.url(path)], target, max_bytes=MOST, pause=lambda _: None, **options)


def test_a_whole_file_comes_with_one_request(tmp_path):
    with serving({"/a.zip": CONTENT}) as server:
        assert fetch(server, tmp_path / "new" / "a.zip") == server.url("/a.zip")
    assert (tmp_path / "new" / "a.zip").read_bytes() == CONTENT
    assert server.asked == [("/a.zip", None)]
    assert [path.name for path in (tmp_path / "new").iterdir() if path.suffix != ".lock"] == [
        "a.zip"
    ]


@pytest.mark.parametrize("tenth", range(1, 10))
def test_a_break_at_any_place_costs_no_byte_twice(tmp_path, tenth):
    at = len(CONTENT) * tenth // 10
    with serving({"/a.zip": CONTENT}, breaks=[at]) as server:
        fetch(server, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert server.asked == [("/a.zip", None), ("/a.zip", f"bytes={at}-")]


def test_the_part_of_an_earlier_process_is_continued(tmp_path):
    target = tmp_path / "a.zip"
    with serving({"/a.zip": CONTENT}, breaks=[50_000] + [0] * ATTEMPTS) as server:
        with pytest.raises(DataError, match=r"kept in .*a.zip.part. Run the same command again"):
            fetch(server, target)
        assert not target.exists()
        server.asked.clear()
        fetch(server, target)
    assert target.read_bytes() == CONTENT
    assert server.asked == [("/a.zip", "bytes=50000-")]


@pytest.mark.parametrize("changed", [b"x" * 200_000, b"y" * 10, CONTENT + b"more"])
def test_a_changed_file_starts_anew(tmp_path, changed):
    target = tmp_path / "a.zip"
    with serving({"/a.zip": CONTENT}, breaks=[50_000] + [0] * ATTEMPTS) as server:
        with pytest.raises(DataError):
            fetch(server, target)
        server.files["/a.zip"] = changed
        fetch(server, target)
    assert target.read_bytes() == changed


def test_a_server_without_conditions_is_not_believed_about_the_range(tmp_path):
    """A part of another version than the one that was begun is thrown away."""
    target = tmp_path / "a.zip"
    with serving({"/a.zip": CONTENT}, breaks=[50_000] + [0] * ATTEMPTS) as server:
        with pytest.raises(DataError):
            fetch(server, target)
        notes = target.with_name("a.zip.part.json")
        notes.write_text(json.dumps(json.loads(notes.read_text()) | {"size": 7}))
        fetch(server, target)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize(
    "options", [{"ranges": False}, {"tags": False}], ids=["no ranges", "nothing to recognise it by"]
)
def test_where_a_part_cannot_be_continued_it_starts_anew(tmp_path, options):
    with serving({"/a.zip": CONTENT}, breaks=[90_000, 120_000], **options) as server:
        fetch(server, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert len(server.asked) == 3


def test_a_date_is_enough_to_continue(tmp_path):
    with serving({"/a.zip": CONTENT}, tags=False, dates=True, breaks=[90_000]) as server:
        fetch(server, tmp_path / "a.zip")
    assert server.asked[1] == ("/a.zip", "bytes=90000-")
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_a_complete_part_needs_no_further_byte(tmp_path):
    """The process was killed after the last byte and before the rename."""
    target = tmp_path / "a.zip"
    with serving({"/a.zip": CONTENT}, breaks=[190_000] + [0] * ATTEMPTS) as server:
        with pytest.raises(DataError):
            fetch(server, target)
        target.with_name("a.zip.part").write_bytes(CONTENT)
        fetch(server, target)
        assert server.asked[-1] == ("/a.zip", "bytes=200000-")
    assert target.read_bytes() == CONTENT


def test_faults_that_pass_are_waited_for(tmp_path):
    waited = []
    with serving({"/a.zip": CONTENT}, statuses=[503, 429]) as server:
        download([server.url("/a.zip")], tmp_path / "a.zip", max_bytes=MOST, pause=waited.append)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert waited == sorted(waited)
    assert len(waited) == 2


def test_a_server_that_never_recovers_is_given_up(tmp_path):
    with serving({"/a.zip": CONTENT}, statuses=[500] * 99) as server:
        with pytest.raises(DataError, match=r"the server answers 500 .*--from FILE"):
            fetch(server, tmp_path / "a.zip")
        assert len(server.asked) == ATTEMPTS


def test_a_refusal_is_not_repeated(tmp_path):
    with serving({"/a.zip": CONTENT}, statuses=[403] * 9) as server:
        with pytest.raises(DataError, match="the server answers 403"):
            fetch(server, tmp_path / "a.zip")
        assert len(server.asked) == 1


def test_the_next_address_is_asked_where_one_has_no_such_file(tmp_path):
    with serving({"/new.zip": CONTENT}) as server:
        urls = [server.url("/old.zip"), server.url("/new.zip")]
        assert download(urls, tmp_path / "a.zip", max_bytes=MOST) == urls[1]
        with pytest.raises(DataError, match=r"no address has b.zip any more .*--from FILE"):
            download(urls[:1], tmp_path / "b.zip", max_bytes=MOST)


@pytest.mark.parametrize("lengths", [True, False])
def test_a_file_that_is_too_large_is_refused(tmp_path, lengths):
    with (
        serving({"/a.zip": CONTENT}, lengths=lengths) as server,
        pytest.raises(DataError, match="100000 are the most"),
    ):
        download([server.url("/a.zip")], tmp_path / "a.zip", max_bytes=100_000)
    assert not (tmp_path / "a.zip").exists()


def test_a_disk_without_room_is_told_before_the_first_byte(tmp_path, monkeypatch):
    usage = module.shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage)
    with (
        serving({"/a.zip": CONTENT}) as server,
        pytest.raises(WriteError, match="free: free space, or choose another --out"),
    ):
        fetch(server, tmp_path / "a.zip")
    assert not (tmp_path / "a.zip.part").exists()


def test_a_proxy_of_the_environment_is_used(tmp_path, monkeypatch):
    with serving({"/a.zip": CONTENT}) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url(""))
        monkeypatch.setenv("http_proxy", proxy.url(""))
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        url = "http://images.invalid/a.zip"  # only the proxy can know it
        download([url], tmp_path / "a.zip", max_bytes=MOST)
    assert proxy.proxied == [url]
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_a_proxy_that_is_not_there_is_named(tmp_path, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(DataError, match=r"the proxy that the environment names .*NO_PROXY"):
        download(["http://images.invalid/a.zip"], tmp_path / "a.zip", max_bytes=MOST)


@pytest.mark.parametrize("url", ["data.zip", "ftp://127.0.0.1/a.zip", "http://"])
def test_what_is_no_address_is_refused(tmp_path, url):
    with pytest.raises(UsageError, match="begins with http:// or https://"):
        download([url], tmp_path / "a.zip", max_bytes=MOST)


def test_two_processes_do_not_write_one_file(tmp_path):
    target = tmp_path / "a.zip"
    with (
        module.alone(target),
        serving({"/a.zip": CONTENT}) as server,
        pytest.raises(DataError, match="another process is making"),
    ):
        fetch(server, target)
