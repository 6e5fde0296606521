"""Trainings inside the jobs of clusters, and the threads of their processes."""

import csv
import json
import os

import pytest
import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only

import tiny_project
from cascade_runs import member_run
from endoexit.artifacts.run import open_run
from endoexit.machine import usable_cores
from endoexit.training.processes import (
    is_helper_process,
    local_rank,
    one_machine,
    threads_of_each,
)
from tiny_project import endoexit_process

CLUSTERS = {
    "a step of SLURM with --ntasks": {
        "SLURM_NTASKS": "4", "SLURM_PROCID": "0", "SLURM_JOB_NAME": "x", "SLURM_JOB_ID": "77",
    },
    "another task of SLURM": {
        "SLURM_NTASKS": "4", "SLURM_NTASKS_PER_NODE": "4", "SLURM_PROCID": "3",
        "SLURM_LOCALID": "3", "SLURM_NODEID": "0", "SLURM_JOB_NAME": "x", "SLURM_JOB_ID": "78",
    },
    "torchrun and LSF": {
        "RANK": "2", "LOCAL_RANK": "2", "WORLD_SIZE": "4", "GROUP_RANK": "0",
        "MASTER_ADDR": "nowhere.invalid", "MASTER_PORT": "29500", "TORCHELASTIC_RUN_ID": "none",
        "JSM_NAMESPACE_RANK": "1", "JSM_NAMESPACE_SIZE": "2", "LSB_JOBID": "1",
    },
}  # fmt: skip


@pytest.mark.slow
def test_a_job_of_a_cluster_trains_a_complete_run(tiny_manifest, tmp_path):
    recipe, run = tiny_project.write_recipe(tiny_manifest.parent), tmp_path / "run"
    done = endoexit_process(
        "train", tiny_manifest, "--recipe", recipe, "--out", run, "--set", "epochs=1",
        "--accelerator", "cpu", env=os.environ | CLUSTERS["a step of SLURM with --ntasks"],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"Run folder: {run}" in done.stdout
    assert open_run(run).is_complete
    assert (run / "checkpoints" / "last.safetensors").is_file()
    assert list(run.glob("tensorboard/events.out*"))


@pytest.mark.slow
def test_two_processes_train_one_network_inside_a_job(tiny_manifest, tmp_path):
    recipe, run = tiny_project.write_recipe(tiny_manifest.parent), tmp_path / "run"
    teacher = member_run(tmp_path / "teacher", tiny_manifest)
    done = endoexit_process(
        "train", tiny_manifest, "--recipe", recipe, "--out", run, "--accelerator", "cpu",
        "--devices", 2, "--threads", 1, "--json", "--teacher", teacher.path,
        env=os.environ | CLUSTERS["another task of SLURM"] | CLUSTERS["torchrun and LSF"],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)  # of the first process alone
    trained = open_run(run)
    assert (document["run"], document["weights_sha256"]) == (str(run), trained.weights_sha256)
    assert trained.is_complete
    assert trained.config.teacher == teacher.facts((1, 2))
    with (run / "metrics.csv").open() as stream:
        assert [row["epoch"] for row in csv.DictReader(stream)] == ["1", "2"]
    trained.load_model()


def test_a_training_sees_no_cluster_and_leaves_the_environment_as_it_was(monkeypatch):
    for name, value in (CLUSTERS["torchrun and LSF"] | CLUSTERS["another task of SLURM"]).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "8")
    monkeypatch.setattr(rank_zero_only, "rank", 2)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before, threads = dict(os.environ), torch.get_num_threads()
    assert (is_helper_process(), local_rank()) == (False, 0)
    with one_machine(threads + 1):
        left = {"RANK", "LOCAL_RANK", "WORLD_SIZE", "SLURM_NTASKS", "SLURM_CPUS_ON_NODE"}
        assert not left & os.environ.keys()
        assert os.environ["OMP_NUM_THREADS"] == str(threads + 1)
        assert torch.get_num_threads() == threads + 1
        assert rank_zero_only.rank == 0
        assert not is_helper_process()
        started = dict(os.environ)
    assert dict(os.environ) == before
    assert torch.get_num_threads() == threads
    monkeypatch.setattr(os, "environ", started | {"LOCAL_RANK": "1"})
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert (is_helper_process(), local_rank()) == (True, 1)


def test_the_threads_of_each_process(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    assert threads_of_each(None, 1) == usable_cores()
    assert threads_of_each(None, 2) == max(1, usable_cores() // 2)
    assert threads_of_each(None, 99) == 1
    assert threads_of_each(7, 2) == 7
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads_of_each(None, 2) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        ("strategy.name=two-stage",),
        ("strategy={name: adversarial, steps: 1}",),
        ("strategy.name=collaboration", "model.collaborate=true"),
    ],
)
def test_two_processes_train_by_every_kind_of_strategy(tiny_manifest, tmp_path, changes):
    """Parts that rest in some epochs, several passes a step, layers that are not kept."""
    recipe, run = tiny_project.write_recipe(tiny_manifest.parent), tmp_path / "run"
    sets = [word for change in changes for word in ("--set", change)]
    done = endoexit_process(
        "train", tiny_manifest, "--recipe", recipe, "--out", run, "--accelerator", "cpu",
        "--devices", 2, "--threads", 1, *sets,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    trained = open_run(run)
    assert trained.is_complete
    with (run / "metrics.csv").open() as stream:
        assert [row["epoch"] for row in csv.DictReader(stream)] == ["1", "2"]
    trained.load_model()
