"""`endoexit archive`: plan, run, status, verify and merge, as a user types them."""

import csv
import json
import re

import pytest

from archive_jobs import InThisProcess, material, plan, write_tar
from endoexit.archiving import drive as driver
from endoexit.archiving.document import MANIFEST
from endoexit.archiving.plan import JobFolder
from endoexit.errors import PausedError
from endoexit.policy import deadline_policy, fixed_exit
from endoexit.workflow import archive
from tiny import tiny_run
from tiny_project import endoexit


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tiny_run(tmp_path_factory.mktemp("runs") / "tiny").path


@pytest.fixture
def here(monkeypatch):
    """Workers in this process, which spare the seconds in which others import torch."""
    threads = []

    def make(job, count):
        threads.append(count)
        return InThisProcess(JobFolder.open(job))

    monkeypatch.setattr(archive, "LocalWorker", make)
    return threads


def table(file):
    return list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))


def test_a_job_from_its_plan_to_its_table(run, tmp_path, here):
    material(tmp_path / "in")
    line = ("archive", "plan", run, "in", "--out", "job", "--shard-images", 7)
    done = endoexit(*line, "--threshold", "0.75", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "24 images in shards of 7: 4 to compute." in done.stdout
    assert "Passed over, no image by its suffix: 2 files" in done.stderr
    status = endoexit("archive", "status", "job", cwd=tmp_path)
    assert "0 of 24 images have their rows (0 of 4 shards)." in status.stdout
    assert "Continue with: endoexit archive run job" in status.stdout
    for command in (("verify",), ("merge", "--out", "rows.csv")):
        early = endoexit("archive", command[0], "job", *command[1:], cwd=tmp_path)
        assert early.returncode == 1
        assert "is not done: finish it with `endoexit archive run" in early.stderr
    done = endoexit("archive", "run", "job", "--workers", "1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "24 images have their rows. Could not be read: 5." in done.stdout
    assert "The job is done." in endoexit("archive", "status", "job", cwd=tmp_path).stdout
    assert "Every image has one row" in endoexit("archive", "verify", "job", cwd=tmp_path).stdout
    merged = endoexit("archive", "merge", "job", "--out", "rows.csv", cwd=tmp_path)
    assert merged.returncode == 1  # as of predict
    predicted = endoexit("predict", run, "in", "--threshold", "0.75", "--out", "predicted.csv",
                         "--threads", "1", cwd=tmp_path)  # fmt: skip
    assert predicted.returncode == 1
    rows, same = table(tmp_path / "rows.csv"), table(tmp_path / "predicted.csv")
    assert list(rows[0]) == list(same[0])
    files = [row for row in rows if "#" not in row["path"]]
    assert [(row["path"], row["label"], row["exit"], row["error"]) for row in files] == [
        (row["path"], row["label"], row["exit"], row["error"]) for row in same
    ]
    assert rows[0]["path"] == "in/a.tar#deep/5.png"


def test_documents(run, tmp_path, here):
    paths = material(tmp_path / "in")
    job = tmp_path / "job"
    planned = json.loads(endoexit("archive", "plan", run, *paths, "--out", job, "--json").stdout)
    assert (planned["images"], planned["shards"], planned["shard_images"]) == (24, 1, 2048)
    assert planned["answering"]["exits"] == 4
    assert planned["passed_over"] == [
        {"suffix": ".txt", "files": 2, "examples": [f"{p}/deep/notes.txt" for p in paths[1:]]}
    ]
    done = json.loads(endoexit("archive", "run", job, "--json").stdout)
    assert done == {"job": str(job), "images": 24, "failed": 5}
    status = json.loads(endoexit("archive", "status", job, "--json").stdout)
    assert (status["done"], status["images_done"], status["running"]) == (True, 24, False)
    assert json.loads(endoexit("archive", "verify", job, "--json").stdout)["faults"] == []
    out = tmp_path / "rows.jsonl"
    merged = json.loads(endoexit("archive", "merge", job, "--out", out, "--json").stdout)
    assert merged["out"] == str(out)
    assert out.read_text().count("\n") == 24


def test_damaged_results_are_exit_code_1_and_named(run, tmp_path, here):
    job = plan(run, material(tmp_path / "in"), tmp_path / "job")
    assert endoexit("archive", "run", job.path).returncode == 0
    job.file(2).unlink()
    done = endoexit("archive", "verify", job.path)
    assert done.returncode == 1
    assert f"{job.file(2)} is missing: run the job again" in done.stderr
    assert endoexit("archive", "run", job.path).returncode == 0
    assert endoexit("archive", "verify", job.path).returncode == 0


def test_changed_inputs_are_rows(run, tmp_path, here):
    paths = material(tmp_path / "in")
    job = plan(run, paths, tmp_path / "job")
    write_tar(tmp_path / "in" / "a.tar", {"other.png": b"x"})
    assert endoexit("archive", "run", job.path).returncode == 0
    endoexit("archive", "merge", job.path, "--out", tmp_path / "rows.csv")
    rows = table(tmp_path / "rows.csv")
    assert {"has changed since the job was planned" in row["error"]
            for row in rows if "a.tar#" in row["path"]} == {True}  # fmt: skip
    assert sum("has changed" in row["error"] for row in rows) == 9


@pytest.mark.parametrize("names", ["index", "hash"])
def test_no_name_shows_where_none_may(run, tmp_path, here, names):
    material(tmp_path / "Doe")
    done = endoexit("archive", "plan", run, "Doe", "--out", "job", "--names", names, cwd=tmp_path)
    assert done.returncode == 0
    assert "Doe" not in done.stdout + done.stderr
    run_ = endoexit("archive", "run", "job", cwd=tmp_path)
    merged = endoexit("archive", "merge", "job", "--out", "rows.csv", "--names", names,
                      cwd=tmp_path)  # fmt: skip
    assert "Doe" not in run_.stdout + run_.stderr + merged.stdout + merged.stderr
    text = (tmp_path / "rows.csv").read_text()
    assert "Doe" not in text
    assert "deep" not in text
    (tmp_path / "Doe.tar").write_bytes(b"no tar")
    refused = endoexit("archive", "plan", run, "Doe.tar", "--out", "other", "--names", names,
                       cwd=tmp_path)  # fmt: skip
    assert refused.returncode == 1
    assert "an archive is no archive, or is damaged" in refused.stderr
    assert "Doe" not in refused.stderr


def test_a_policy_with_a_deadline_is_refused(tmp_path):
    run = tiny_run(tmp_path / "run").path
    deadline_policy(4, 5.0).write(run / "policy.json")
    paths = material(tmp_path / "in")
    done = endoexit("archive", "plan", run, *paths, "--out", tmp_path / "job")
    assert done.returncode == 2
    assert "would depend on the clock" in done.stderr
    assert not (tmp_path / "job").exists()
    fixed_exit(4, 2).write(run / "policy.json")
    assert endoexit("archive", "plan", run, *paths, "--out", tmp_path / "job").returncode == 0


def test_after_its_hours_a_job_is_paused_and_says_how_to_go_on(run, tmp_path, here):
    job = plan(run, material(tmp_path / "in"), tmp_path / "job")
    paused = endoexit("archive", "run", job.path, "--max-hours", "1e-9", "--json")
    assert paused.returncode == 75
    document = json.loads(paused.stdout)
    assert document["exit_code"] == 75
    assert re.fullmatch(
        rf"paused: \d+ of {job.job.shards} shards have their file. Run the same command again to "
        "continue.", document["error"],
    )  # fmt: skip
    assert not (job.path / MANIFEST).exists()
    assert endoexit("archive", "run", job.path).returncode == 0


def test_the_cores_are_shared(run, tmp_path, here, monkeypatch):
    monkeypatch.setattr(archive, "usable_cores", lambda: 8)
    job = plan(run, material(tmp_path / "in"), tmp_path / "job")
    monkeypatch.setattr(driver, "_all", lambda *_: {})
    for workers, threads, expected in (
        (None, None, [2] * 4),
        (1, None, [8]),
        (3, None, [2] * 3),
        (9, None, [1] * 9),
        (2, 3, [3, 3]),
    ):
        with pytest.raises(PausedError):  # no shard was computed
            archive.run_archive(job.path, workers=workers, threads=threads)
        assert here == expected
        here.clear()


def test_wrong_usage(run, tmp_path):
    job = plan(run, material(tmp_path / "in"), tmp_path / "job")
    refused = endoexit("archive", "plan", run, tmp_path / "in", "--out", job.path)
    assert refused.returncode == 2
    assert "exists already: name a new folder" in refused.stderr
    refused = endoexit("archive", "run", tmp_path)
    assert refused.returncode == 1
    assert "make one with `endoexit archive plan`" in refused.stderr
    refused = endoexit("archive", "merge", job.path, "--out", "rows.xlsx")
    assert refused.returncode == 2
    assert "name it .csv, .jsonl or .parquet" in refused.stderr
    assert endoexit("archive", "run", job.path, "--workers", "0").returncode == 2
    refused = endoexit("archive", "run", job.path, "--max-hours", "0")
    assert refused.returncode == 2
    assert "more than 0 and up to 8760 hours, got 0" in refused.stderr
