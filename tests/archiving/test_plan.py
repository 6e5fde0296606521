"""The plan of a job: written whole, read by shards, refused after a change."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from archive_jobs import ANSWERING
from endoexit.archiving import plan
from endoexit.archiving.plan import INPUTS, JobFolder, write_plan
from endoexit.archiving.planned import Planned
from endoexit.errors import DataError, RunError, UsageError
from endoexit.images.members import Member


def images(count: int) -> Iterator[Planned]:
    for number in range(count):
        member = Member(f"m{number}.png", number, 2, 3, crc=None) if number % 3 == 0 else None
        yield Planned(f"folder/{number}.png", number, number + 1, number % 2, member)


def planned(path: Path, count: int, shard_images: int = 4, **changes: str) -> JobFolder:
    return write_plan(
        path, images(count), source=Path("run"), threshold=0.5, precision=None,
        answering=ANSWERING.replaced(**changes), decided_by="it", shard_images=shard_images,
    )  # fmt: skip


def test_shards_come_back_over_all_files_of_the_plan(tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "_PART_SHARDS", 2)
    planned(tmp_path / "job", 22)
    folder = JobFolder.open(tmp_path / "job")
    assert (folder.job.images, folder.job.shards) == (22, 6)
    assert folder.job.source.is_absolute()
    assert [image for shard in range(6) for image in folder.planned(shard)] == list(images(22))
    assert len(list((tmp_path / "job" / INPUTS).iterdir())) == 3
    assert len(set(folder.job.keys)) == 6


def test_a_key_is_of_the_images_and_of_all_that_answers(tmp_path):
    first = planned(tmp_path / "1", 8).job.keys
    assert planned(tmp_path / "2", 8).job.keys == first
    assert planned(tmp_path / "3", 7).job.keys[0] == first[0]
    assert planned(tmp_path / "4", 7).job.keys[1] != first[1]
    assert set(planned(tmp_path / "5", 8, weights_sha256="other").job.keys).isdisjoint(first)


def test_a_plan_that_was_changed_is_refused(tmp_path):
    folder, changed = planned(tmp_path / "job", 8), planned(tmp_path / "other", 8, shard_images=5)
    part = Path(INPUTS) / "part-00000.parquet"
    content = (folder.path / part).read_bytes()
    (folder.path / part).write_bytes((changed.path / part).read_bytes())
    with pytest.raises(RunError, match=r"was changed since it was planned: plan the job again\."):
        folder.planned(0)
    (folder.path / part).write_bytes(content[:-50])
    with pytest.raises(RunError, match=r"cannot be read .*: plan the job again\."):
        folder.planned(0)
    (folder.path / part).write_bytes(content)
    assert folder.planned(1) == list(images(8))[4:]


def test_nothing_to_plan_and_a_folder_with_content(tmp_path):
    with pytest.raises(DataError, match="there is nothing to plan"):
        planned(tmp_path / "job", 0)
    assert list(tmp_path.iterdir()) == []
    planned(tmp_path / "job", 1)
    with pytest.raises(UsageError, match="exists already"):
        planned(tmp_path / "job", 1)


def test_only_whole_files_of_its_shards_count_as_done(tmp_path):
    folder = planned(tmp_path / "job", 12)
    for name in (folder.file(1).name, f".{folder.file(0).name}.abc.part", "shard-00002-x.parquet"):
        (folder.out / name).touch()
    assert folder.done() == {1}
    with folder.alone():
        assert folder.running
        assert sorted(path.name for path in folder.out.iterdir()) == sorted(
            [folder.file(1).name, "shard-00002-x.parquet"]
        )
        with (
            pytest.raises(RunError, match="is being run by another process: wait for its end"),
            JobFolder.open(folder.path).alone(),
        ):
            pass
    assert not folder.running


def test_memory_does_not_grow_with_the_images(tmp_path):
    peaks = []
    for count in (2_000, 8_000):
        tracemalloc.start()
        planned(tmp_path / str(count), count, shard_images=500)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 300_000
