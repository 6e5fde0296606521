"""What is asked of a job that is done: its state, its faults, its rows as a table."""

import csv

import pytest

from archive_jobs import InThisProcess, material, plan
from endoexit.archiving.document import Manifest
from endoexit.archiving.drive import drive
from endoexit.archiving.reading import Status, faults_of, merge_rows, rows_of, status_of
from endoexit.errors import RunError
from endoexit.naming import Naming, call_images, naming_kept
from tiny import tiny_run


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    root = tmp_path_factory.mktemp("archive")
    folder = plan(tiny_run(root / "run").path, material(root / "in"), root / "job")
    assert status_of(folder) == Status(24, 6, 0, 0, None, running=False)
    drive(folder, [InThisProcess(folder)])
    return folder


def test_the_status_of_a_job(done):
    assert status_of(done) == Status(24, 6, 6, 24, 5, running=False)
    assert status_of(done).done
    file = done.file(5)
    content = file.read_bytes()
    file.unlink()
    with done.alone():
        assert status_of(done) == Status(24, 6, 5, 20, None, running=True)
    file.write_bytes(content)


def test_whole_results_have_no_fault_and_others_are_named(done):
    assert faults_of(done) == []
    kept = {shard: done.file(shard).read_bytes() for shard in range(6)}
    done.file(0).unlink()
    done.file(1).write_bytes(kept[2])
    done.file(2).write_bytes(kept[2][:-5])
    done.file(3).write_bytes(kept[3])
    done.file(4).unlink()
    InThisProcess(done).compute(4)  # the same rows with other times
    faults = faults_of(done)
    assert [fault.split(".parquet ")[1].split(" (")[0].split(":")[0] for fault in faults] == [
        "is missing", "is damaged", "is damaged", "is not what the manifest says",
    ]  # fmt: skip
    assert all("computes it anew" in fault for fault in faults)
    with pytest.raises(RunError, match="is damaged"):
        list(rows_of(done))
    for shard, content in kept.items():
        done.file(shard).write_bytes(content)
    assert faults_of(done) == []


def test_a_manifest_of_another_job_is_a_fault(done):
    manifest = Manifest.read(done.path)
    manifest.replaced(shards=manifest.shards[::-1]).write(done.path)
    (fault,) = faults_of(done)
    assert "is of another job: remove it, and run the job again" in fault
    manifest.write(done.path)


@pytest.mark.parametrize("kind", ["path", "index", "hash"])
def test_rows_are_merged_under_the_names_that_are_asked_for(done, tmp_path, kind):
    out = tmp_path / "rows.csv"
    with naming_kept():
        call_images(Naming(kind, b"k" * 16))
        merge_rows(done, out)
    with out.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    names = [row["path"] for row in rows]
    assert len(set(names)) == len(rows) == 24
    broken = next(row for row in rows if "not an image that can be read" in row["error"])
    if kind == "path":
        assert names[:2] == [str(done.path.parent / "in" / "photos" / f"{n}.png") for n in (0, 1)]
        assert broken["error"].startswith(f"{broken['path']} is not an image")
        return
    assert broken["error"].startswith(f"image {broken['path']} is not an image")
    assert "photos" not in out.read_text()
    if kind == "index":
        assert names == [str(number + 1) for number in range(24)]
