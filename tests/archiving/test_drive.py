"""The driver with workers of every fate: each shard once, no row lost, one error."""

import resource
import threading
from collections import Counter

import pytest

from archive_jobs import InThisProcess, answers, material, plan
from endoexit.archiving.document import MANIFEST, Manifest, ShardFile
from endoexit.archiving.drive import drive
from endoexit.archiving.workers import WorkerLostError
from endoexit.errors import EndoexitError, PausedError, WriteError
from tiny import tiny_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tiny_run(tmp_path_factory.mktemp("runs") / "tiny").path


@pytest.fixture
def folder(run, tmp_path):
    return plan(run, material(tmp_path / "in"), tmp_path / "job")


class Fated:
    """A worker that writes empty files, and is lost with the images that are fatal to it.

    Args:
        folder: The job.
        fatal: Numbers of images in the job that end it when it decodes them.
        lost: Shards that end it once.
    """

    def __init__(self, folder, fatal=(), lost=()):
        self.folder, self.fatal, self.lost = folder, set(fatal), Counter(lost)
        self.done, self.skipped, self.deaths = [], {}, 0
        self.closed = threading.Event()

    def compute(self, shard, fatal=()):
        rows = self.folder.job.rows(shard)
        self._decode(rows[position] for position in range(len(rows)) if position not in fatal)
        if self.lost[shard] > 0:
            self.lost[shard] -= 1
            raise WorkerLostError("lost")
        self.done.append(shard)
        self.skipped[shard] = [rows[position] for position in fatal]
        return ShardFile(file=self.folder.file(shard).name, images=len(rows), failed=0, sha256="")

    def decode(self, shard, positions):
        self._decode(self.folder.job.rows(shard)[position] for position in positions)

    def close(self):
        self.closed.set()

    def _decode(self, numbers):
        if self.fatal & set(numbers):
            self.deaths += 1
            raise WorkerLostError("exit code -11")


def test_each_shard_goes_to_one_worker(folder):
    workers = [Fated(folder) for _ in range(3)]
    manifest = drive(folder, workers)
    assert sorted(shard for worker in workers for shard in worker.done) == list(
        range(folder.job.shards)
    )
    assert [file.file for file in manifest.shards] == [
        folder.file(shard).name for shard in range(folder.job.shards)
    ]
    assert all(worker.closed.is_set() for worker in workers)
    assert Manifest.read(folder.path) == manifest


def test_what_killed_writers_left_behind_is_gone_at_the_end(folder):
    left = folder.out / f".{folder.file(0).name}.x1y2z3.part"
    left.write_bytes(b"half a shard")
    drive(folder, [Fated(folder)])
    assert not left.exists()


def test_a_pause_ends_after_the_shards_that_have_begun(folder):
    pause = threading.Event()

    class Pausing(Fated):
        def compute(self, shard, fatal=()):
            if shard == 1:
                pause.set()
            return super().compute(shard, fatal)

    worker = Pausing(folder)
    with pytest.raises(PausedError, match=f"paused: 2 of {folder.job.shards} shards"):
        drive(folder, [worker], pause=pause)
    assert worker.done == [0, 1]
    assert worker.closed.is_set()
    assert not (folder.path / MANIFEST).exists()


def test_a_pause_after_the_last_shard_changes_nothing(folder):
    pause = threading.Event()

    class Pausing(Fated):
        def compute(self, shard, fatal=()):
            if shard == folder.job.shards - 1:
                pause.set()
            return super().compute(shard, fatal)

    assert drive(folder, [Pausing(folder)], pause=pause).images == folder.job.images


def test_a_worker_that_is_lost_once_does_the_shard_again(folder):
    worker = Fated(folder, lost=[0, 2])
    drive(folder, [worker])
    assert worker.done == list(range(folder.job.shards))
    assert not any(worker.skipped.values())


@pytest.mark.parametrize("fatal", [[0], [5], [7], [4, 6], [8, 9, 10, 11]])
def test_the_images_that_end_a_worker_are_found(folder, fatal):
    worker = Fated(folder, fatal=fatal)
    drive(folder, [worker])
    assert [number for shard in sorted(worker.skipped) for number in worker.skipped[shard]] == fatal
    assert worker.deaths <= 2 + 2 * 4


def test_workers_that_always_end_give_one_error(folder):
    worker = Fated(folder, lost=[1] * 99)
    with pytest.raises(EndoexitError, match="not because of one image: free memory"):
        drive(folder, [worker])
    assert worker.done == [0]
    assert worker.closed.is_set()
    assert not (folder.path / MANIFEST).exists()


def test_a_full_disk_is_one_error_and_loses_nothing(run, folder, tmp_path):
    paths = [str(tmp_path / "in" / name) for name in ("photos", "a.tar", "b.zip")]
    whole = plan(run, paths, tmp_path / "whole")
    drive(whole, [InThisProcess(whole)])
    worker = InThisProcess(folder)
    worker.compute(0)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(WriteError, match="free space or choose another folder"):
            drive(folder, [worker])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in folder.out.iterdir()] == [folder.file(0).name]
    drive(folder, [InThisProcess(folder)])
    assert answers(folder) == answers(whole)


def test_a_job_that_is_done_asks_no_worker(folder):
    manifest = drive(folder, [InThisProcess(folder)])
    worker = Fated(folder)
    assert drive(folder, [worker]) == manifest
    assert worker.done == []
