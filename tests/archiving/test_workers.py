"""Real processes under real kills: a job that was killed often is that of one that was not."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from archive_jobs import InThisProcess, answers, material, plan
from endoexit.archiving.drive import drive
from endoexit.archiving.workers import LocalWorker, WorkerLostError
from endoexit.errors import EndoexitError, WriteError
from tiny import tiny_run
from tiny_project import command, endoexit

pytestmark = pytest.mark.skipif(os.name == "nt", reason="SIGKILL is a Unix signal")


def waiting_for(condition, process, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "the driver ended by itself"
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.005)


def children(process):
    return [c for c in psutil.Process(process.pid).children() if "worker" in " ".join(c.cmdline())]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tiny_run(tmp_path_factory.mktemp("runs") / "tiny").path


@pytest.mark.slow
def test_kills_of_worker_and_driver_lose_and_double_nothing(run, tmp_path):
    paths = material(tmp_path / "in") * 8
    whole = plan(run, paths, tmp_path / "whole")
    drive(whole, [InThisProcess(whole)])
    folder = plan(run, paths, tmp_path / "job")
    assert folder.job.keys == whole.job.keys
    line = command("archive", "run", folder.path, "--workers", "1", "--threads", "1")
    driver = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    waiting_for(folder.done, driver)
    (worker,) = children(driver)
    worker.send_signal(signal.SIGKILL)
    before = len(folder.done())
    refused = endoexit("archive", "run", folder.path)
    assert refused.returncode == 1
    assert "is being run by another process: wait for its end, or stop it first" in refused.stderr
    waiting_for(lambda: len(folder.done()) > before + 3, driver)
    (second,) = children(driver)
    assert second.pid != worker.pid
    driver.kill()
    driver.communicate()
    assert driver.returncode == -signal.SIGKILL
    psutil.wait_procs([second], timeout=60)
    assert not second.is_running()
    done = folder.done()
    assert 0 < len(done) < folder.job.shards, "it was done before it was killed"
    kept = {shard: folder.file(shard).stat().st_mtime_ns for shard in done}
    (folder.out / f".{folder.file(0).name}.x.part").write_bytes(b"half")  # a kill while it writes
    with folder.alone():
        drive(folder, [InThisProcess(folder)])
    assert answers(folder) == answers(whole)
    assert {shard: folder.file(shard).stat().st_mtime_ns for shard in done} == kept
    assert len(list(folder.out.iterdir())) == folder.job.shards


@pytest.mark.slow
def test_sigterm_completes_the_shards_at_work_and_asks_to_be_continued(run, tmp_path):
    folder = plan(run, material(tmp_path / "in") * 20, tmp_path / "job")
    line = command("archive", "run", folder.path, "--workers", "1", "--threads", "1")
    driver = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    waiting_for(folder.done, driver)
    driver.send_signal(signal.SIGTERM)
    _, said = driver.communicate(timeout=120)
    done = len(folder.done())
    assert 0 < done < folder.job.shards, "it was done before it was asked to pause"
    assert driver.returncode == 75
    assert f"paused: {done} of {folder.job.shards} shards have their file" in said
    assert not list(folder.out.glob(".*.part"))
    assert len(list(folder.out.iterdir())) == done


def test_a_worker_ends_with_its_driver(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "endoexit.archiving.worker", str(tmp_path), "1"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.communicate(b"", timeout=120)[0] == b""
    assert process.returncode == 0


def test_a_worker_that_cannot_work_says_why_and_a_closed_one_does_not_start(tmp_path):
    worker = LocalWorker(tmp_path, 1)
    try:
        with pytest.raises(EndoexitError, match="is no job") as raised:
            worker.decode(0, range(1))
    finally:
        worker.close()
    assert not isinstance(raised.value, WriteError)
    with pytest.raises(WorkerLostError, match="closed"):
        worker.compute(0)
