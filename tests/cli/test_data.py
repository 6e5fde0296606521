"""`endoexit data` as a user runs it: terms, kills, full disks, other files under the same name."""

import os
import resource
import signal
import subprocess
import threading
import time

import pytest

from endoexit.datasets.catalog import RELEASES
from kvasir_folders import as_zip, kvasir_files
from loopback import serving
from tiny_project import command, endoexit_process

ARCHIVE = as_zip({**kvasir_files(), "kvasir-dataset/noise.bin": os.urandom(400_000)})


@pytest.fixture
def user(tmp_path):
    """The environment of a user of their own."""
    kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    return kept | {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state"),
                   "OMP_NUM_THREADS": "1"}  # fmt: skip


def test_without_the_terms_nothing_is_asked_for(tmp_path, user):
    with serving({"/a.zip": ARCHIVE}) as server:
        done = endoexit_process(
            "data", "kvasir-v1", "--out", tmp_path / "d", "--url", server.url("/a.zip"), env=user
        )
    assert done.returncode == 2
    assert "If you accept the terms, run: endoexit data kvasir-v1 --out" in done.stderr
    assert "doi:10.1145/3083187.3083212" in done.stderr
    assert server.asked == []
    assert not (tmp_path / "d").exists()


def test_a_whole_download_says_what_to_cite_and_what_comes_next(tmp_path, user):
    with serving({"/a.zip": ARCHIVE}) as server:
        done = endoexit_process(
            "data",
            "kvasir-v1",
            "--out",
            tmp_path / "d",
            "--accept-terms",
            "--url",
            server.url("/a.zip"),
            env=user,
        )
    assert done.returncode == 0, done.stderr
    words = " ".join(done.stdout.split())
    assert f"Cite: {RELEASES['kvasir-v1'].citation}" in words
    assert "seen for the first time, written down in" in words
    assert "green position inset" in words
    assert f"Next: endoexit reproduce kvasir {tmp_path}/d/kvasir-v1" in words
    assert len(list((tmp_path / "d" / "kvasir-v1").rglob("*.jpg"))) == 16


def test_a_kill_in_the_middle_is_continued(tmp_path, user):
    pause, out = threading.Event(), tmp_path / "d"
    with serving({"/a.zip": ARCHIVE}, pause=pause) as server:
        line = command("data", "kvasir-v1", "--out", out, "--accept-terms", "--url",
                       server.url("/a.zip"))  # fmt: skip
        process = subprocess.Popen(line, env=user, stderr=subprocess.PIPE)
        part = out / "kvasir-dataset.zip.part"
        for _ in range(1200):
            if part.is_file() and part.stat().st_size > 100_000:
                break
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stderr.close()
        have = part.stat().st_size
        assert 100_000 < have < len(ARCHIVE)
        pause.set()
        server.asked.clear()
        done = subprocess.run(line, env=user, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert server.asked == [("/a.zip", f"bytes={have}-")]
    assert (out / "kvasir-dataset.zip").read_bytes() == ARCHIVE


def test_a_full_disk_keeps_the_part(tmp_path, user):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    with serving({"/a.zip": ARCHIVE}) as server:
        arguments = ("data", "kvasir-v1", "--out", tmp_path / "d", "--accept-terms", "--url",
                     server.url("/a.zip"))  # fmt: skip
        done = endoexit_process(*arguments, env=user, preexec_fn=limit)
        assert done.returncode == 1
        assert "Free space and run the same command again to continue" in done.stderr
        assert "Traceback" not in done.stderr
        done = endoexit_process(*arguments, env=user)
    assert done.returncode == 0, done.stderr
    assert server.asked[1] == ("/a.zip", "bytes=200000-")


def test_another_file_under_the_same_name_is_refused(tmp_path, user):
    changed = as_zip(kvasir_files("x/"))
    with serving({"/a.zip": ARCHIVE}) as server:
        arguments = ("data", "kvasir-v1", "--accept-terms", "--url", server.url("/a.zip"), "--out")
        assert endoexit_process(*arguments, tmp_path / "one", env=user).returncode == 0
        server.files["/a.zip"] = changed
        done = endoexit_process(*arguments, tmp_path / "two", env=user)
    assert done.returncode == 1
    assert "Either one is damaged or was tampered with" in done.stderr
    assert not (tmp_path / "two" / "kvasir-v1").exists()


def test_options_that_contradict_and_names_that_do_not_exist(tmp_path, user):
    done = endoexit_process("data", "kvasir", "--out", tmp_path, "--accept-terms", env=user)
    assert done.returncode == 2
    assert "unknown data set 'kvasir': did you mean 'kvasir-v" in done.stderr
    done = endoexit_process(
        "data",
        "kvasir-v1",
        "--out",
        tmp_path,
        "--accept-terms",
        "--from",
        "a.zip",
        "--url",
        "http://127.0.0.1/a.zip",
        env=user,
    )
    assert done.returncode == 2
    assert "exclude each other" in done.stderr
