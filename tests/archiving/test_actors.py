"""Actors on the nodes of a real cluster: the rows of a job without Ray, whatever is killed."""

import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from archive_jobs import InThisProcess, answers, material, plan, png
from endoexit.archiving.drive import drive
from endoexit.archiving.reading import faults_of
from endoexit.policy import threshold_policy
from tiny import tiny_run
from tiny_project import command, endoexit_process

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray")]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tiny_run(tmp_path_factory.mktemp("runs") / "tiny").path


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    return material(tmp_path_factory.mktemp("images") / "in") * 24


@pytest.fixture(scope="module")
def rows(run, paths, tmp_path_factory):
    """The rows of the job without Ray."""
    whole = plan(run, paths, tmp_path_factory.mktemp("jobs") / "whole")
    drive(whole, [InThisProcess(whole)])
    return answers(whole)


@pytest.fixture
def new_job(run, paths, tmp_path):
    return lambda: plan(run, paths, tmp_path / "job")


def on(cluster, folder, actors):
    return ["archive", "run", folder.path, "--ray", cluster.address, "--actors", actors,
            "--threads", 1]  # fmt: skip


def waiting_for(condition, process, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.01)


@pytest.mark.parametrize("actors", [1, 2])
def test_actors_give_the_rows_of_a_job_without_ray(ray_cluster, rows, new_job, actors):
    folder = new_job()
    done = endoexit_process(*on(ray_cluster, folder, actors), env=ray_cluster.env)
    assert done.returncode == 0, done.stderr
    assert answers(folder) == rows
    assert faults_of(folder) == []


@pytest.mark.skipif(os.name == "nt", reason="SIGSTOP is a Unix signal")
def test_kills_of_a_node_and_of_the_driver_lose_and_double_nothing(ray_cluster, rows, new_job):
    folder = new_job()
    line = command(*on(ray_cluster, folder, 2))
    driver = subprocess.Popen(
        line, env=ray_cluster.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    waiting_for(lambda: len(folder.done()) >= 4, driver)
    refused = endoexit_process(*on(ray_cluster, folder, 1), env=ray_cluster.env)
    assert refused.returncode == 1
    assert "is being run by another process" in refused.stderr
    driver.kill()
    driver.communicate()
    done = folder.done()
    assert len(done) < folder.job.shards, "it was done before it was killed"
    kept = {shard: folder.file(shard).stat().st_mtime_ns for shard in done}
    driver = subprocess.Popen(
        line, env=ray_cluster.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    waiting_for(lambda: len(folder.done()) > len(done) + 2, driver)
    driver.send_signal(signal.SIGSTOP)  # or the other node does all while this one is killed
    ray_cluster.kill_node()
    try:
        assert len(folder.done()) < folder.job.shards, "it was done before the node was killed"
        driver.send_signal(signal.SIGCONT)
        _, said = driver.communicate(timeout=180)
    finally:
        ray_cluster.add_node()
    assert driver.returncode == 0, said
    assert "is lost; others do its shard" in said
    assert answers(folder) == rows
    assert faults_of(folder) == []
    assert {shard: folder.file(shard).stat().st_mtime_ns for shard in done} == kept
    assert len(list(folder.out.iterdir())) == folder.job.shards


def test_what_a_node_cannot_do_is_one_error(ray_cluster, tmp_path):
    """A model that has changed; images that the nodes do not see; more than the cluster has."""
    run = tiny_run(tmp_path / "run").path
    (tmp_path / "a.png").write_bytes(png(0))
    folder = plan(run, [str(tmp_path / "a.png")], tmp_path / "job")
    threshold_policy(4, 0.5).write(run / "policy.json")
    other = tiny_run(tmp_path / "other", seed=1).path
    kept = (run / "weights.safetensors").read_bytes()
    (run / "weights.safetensors").write_bytes((other / "weights.safetensors").read_bytes())
    refused = endoexit_process(*on(ray_cluster, folder, 1), env=ray_cluster.env)
    assert refused.returncode == 1
    assert "on the node " in refused.stderr
    assert "has changed since the job was planned (weights), so" in refused.stderr
    (run / "weights.safetensors").write_bytes(kept)
    refused = endoexit_process(*on(ray_cluster, folder, 3), env=ray_cluster.env)
    assert refused.returncode == 2
    assert "has CPUs for 2 actors of 1 thread, not for 3: lower --actors" in refused.stderr
    assert endoexit_process(*on(ray_cluster, folder, 1), env=ray_cluster.env).returncode == 0


def left_over(home):
    """Return the names of the processes that were started with this home."""
    names = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("HOME") == home:
                names.append(process.name())
        except psutil.Error:  # it has ended, or is of another user
            continue
    return names


def test_a_cluster_that_the_command_starts_ends_with_it(rows, new_job):
    folder = new_job()
    # Names of sockets are short, so no folder of pytest.
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as home:
        env = os.environ | {"HOME": home, "RAY_TMPDIR": home, "OMP_NUM_THREADS": "1"}
        line = ("archive", "run", folder.path, "--ray", "local", "--actors", 1, "--threads", 1)
        done = endoexit_process(*line, env=env)
        assert done.returncode == 0, done.stderr
        assert list(Path(home).glob("ray/session_*")), "Ray was not used"
        end = time.monotonic() + 60
        while left_over(home) and time.monotonic() < end:
            time.sleep(0.2)
        assert left_over(home) == []
    assert answers(folder) == rows
    assert faults_of(folder) == []


@pytest.mark.skipif(os.name == "nt", reason="SIGTERM is a Unix signal")
def test_sigterm_pauses(ray_cluster, new_job):
    folder = new_job()
    driver = subprocess.Popen(
        command(*on(ray_cluster, folder, 1)), env=ray_cluster.env, stderr=subprocess.PIPE, text=True
    )
    waiting_for(folder.done, driver)
    driver.terminate()
    _, said = driver.communicate(timeout=60)
    assert driver.returncode == 75, said
    assert 0 < len(folder.done()) < folder.job.shards
