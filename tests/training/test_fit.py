"""Trainings in real processes: resumed after a kill, on two processes, with faults."""

import csv
import errno
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import safetensors.torch
import torch
from filelock import FileLock

import tiny_project
from endoexit.artifacts.run import open_run
from endoexit.errors import EndoexitError, RunError, TrainingError, UsageError
from endoexit.files import write_json
from endoexit.training import fit as fitting
from endoexit.training.checkpoint import SafetensorsCheckpointIO
from endoexit.training.recipe import read_recipe
from endoexit.training.start import create_run
from tiny_project import endoexit


def weights(run: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(run / "weights.safetensors")


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def metrics(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open() as stream:
        return list(csv.DictReader(stream))


def prepared(manifest: Path, run: Path, *changes: str):
    recipe = read_recipe(str(tiny_project.write_recipe(manifest.parent)), changes)
    return create_run(run, manifest, "ee_hifuse_nano", recipe, seed=0, root=None)


HERE = fitting.Machine(accelerator="cpu", threads=1)


def test_a_run_holds_what_is_needed_and_no_pickle(tiny_run):
    run = open_run(tiny_run)
    assert run.classes == ("blue", "green", "red")
    assert len(metrics(tiny_run)) == 2
    model = run.load_model()
    assert len(model(torch.randn(1, 3, 64, 64))) == 4
    names = {path.name for path in tiny_run.rglob("*") if path.is_file()}
    assert {"config.json", "manifest.csv", "weights.safetensors", "last.safetensors",
            "metrics.csv", "model_card.md"} <= names  # fmt: skip
    assert any(name.startswith("events.out") for name in names)
    assert not [n for n in names if n.endswith((".ckpt", ".pt", ".pth", ".pkl", ".part"))]
    card = (tiny_run / "model_card.md").read_text()
    assert "Not a medical device" in card
    assert run.config.manifest_sha256 in card


def kill_at(line: str, *arguments: object) -> tuple[int, str]:
    """Train in a process and kill it when it prints a line; return its code and its last words."""
    command = tiny_project.command("train", *arguments, "--threads", 1)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        for printed in process.stderr:
            if printed.startswith(line):
                time.sleep(0.05)  # into the saving of the checkpoint, or just after it
                process.kill()
                break
        rest = process.stderr.read()
    return process.returncode, rest


@pytest.mark.slow
def test_killed_and_resumed_is_the_same_as_never_stopped(tiny_manifest, tmp_path):
    whole = tiny_project.train(tiny_manifest, tmp_path / "whole", "--set", "epochs=4")
    recipe = tiny_project.write_recipe(tiny_manifest.parent)
    run = tmp_path / "killed"
    arguments = [tiny_manifest, "--recipe", recipe, "--out", run, "--set", "epochs=4"]
    code, rest = kill_at("epoch   2/4", *arguments)
    assert code == -signal.SIGKILL, rest
    assert not (run / "model_card.md").exists()

    done = endoexit("train", "--resume", run, "--threads", 1)
    assert done.returncode == 0, done.stderr
    assert same(weights(run), weights(whole))
    timeless = [
        [{k: v for k, v in row.items() if "seconds" not in k} for row in metrics(folder)]
        for folder in (run, whole)
    ]
    assert timeless[0] == timeless[1]
    again = endoexit("train", "--resume", run)
    assert again.returncode == 1
    assert "is complete: its training has ended" in again.stderr


@pytest.mark.parametrize(
    ("there", "kept"),
    [
        (".lock", "stopped before an epoch was complete; {} keeps the settings."),
        ("checkpoints/last.safetensors", "stopped; {} keeps all complete epochs."),
    ],
)
def test_ctrl_c_says_what_is_kept_and_how_to_go_on(tiny_manifest, tmp_path, there, kept):
    run, recipe = tmp_path / "my run", tiny_project.write_recipe(tiny_manifest.parent)
    line = tiny_project.command(
        "train", tiny_manifest, "--recipe", recipe, "--out", run, "--set", "epochs=1000",
        "--threads", 1,
    )  # fmt: skip
    command = tiny_project.interruptible(*line)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while not (run / there).exists():
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        *_, last = process.stderr.read().splitlines()
    assert process.returncode == 130
    assert not list(run.rglob("*.part"))
    assert last == kept.format(run) + f" Continue with: endoexit train --resume '{run}'"


def test_without_a_val_role_the_averaged_weights_of_the_last_epoch_are_kept(
    tiny_manifest, tmp_path
):
    manifest = tmp_path / "noval.csv"
    lines = [line for line in tiny_manifest.read_text().splitlines() if not line.endswith(",val")]
    manifest.write_text("\n".join(lines) + "\n")
    write_json(tmp_path / "noval.csv.json", {"root": str(tiny_manifest.parent)})
    started = prepared(manifest, tmp_path / "run")
    half = started.path / ".weights.safetensors.abc.part"  # a process was killed here
    of_another = started.path / ".evaluation.json.abc.part"  # another is writing here
    half.touch()
    of_another.touch()
    run = fitting.fit(started, HERE)
    assert [row["epoch"] for row in metrics(run.path)] == ["1", "2"]
    assert "the last (no val role)" in (run.path / "model_card.md").read_text()
    assert (half.exists(), of_another.exists()) == (False, True)
    last = SafetensorsCheckpointIO().load_checkpoint(run.path / fitting.LAST)
    for name, value in weights(run.path).items():
        assert torch.equal(value, last["state_dict"][f"model.{name}"])
    bias = "stages.0.head.classify.bias"
    assert not torch.equal(weights(run.path)[bias], last["current_model_state"][f"model.{bias}"])


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(
    tiny_manifest, tmp_path, monkeypatch
):
    run = prepared(tiny_manifest, tmp_path / "run", "weight_average=0")
    forward = fitting.ExitTraining.training_step

    def poisoned(self, batch, batch_idx):
        if self.current_epoch == 1:
            batch = (batch[0] * float("nan"), batch[1])
        return forward(self, batch, batch_idx)

    monkeypatch.setattr(fitting.ExitTraining, "training_step", poisoned)
    with pytest.raises(
        TrainingError, match=r"the loss became nan in epoch 2, step 1\..*lower lear"
    ):
        fitting.fit(run, HERE)
    monkeypatch.undo()
    assert len(metrics(run.path)) == 1
    assert all(torch.isfinite(value).all() for value in weights(run.path).values())
    finished = fitting.fit(fitting.resume(run.path), HERE)
    assert len(metrics(finished.path)) == 2


def test_a_last_step_that_spoils_the_weights_does_not_reach_the_checkpoint(
    tiny_manifest, tmp_path, monkeypatch
):
    run = prepared(tiny_manifest, tmp_path / "run", "weight_average=0")
    forward = fitting.ExitTraining.training_step

    def poisoned(self, batch, batch_idx):
        loss = forward(self, batch, batch_idx)
        spoils = self.current_epoch == 1 and self.trainer.is_last_batch
        return loss * float("nan") if spoils else loss

    monkeypatch.setattr(fitting.ExitTraining, "training_step", poisoned)
    with pytest.raises(TrainingError, match=r"weights are not finite any more in epoch 2.*kept"):
        fitting.fit(run, HERE)
    assert len(metrics(run.path)) == 1
    assert all(torch.isfinite(value).all() for value in weights(run.path).values())
    last = SafetensorsCheckpointIO().load_checkpoint(run.path / fitting.LAST)
    assert all(torch.isfinite(value).all() for value in last["state_dict"].values())


@pytest.mark.precision
def test_bfloat16_trains_and_a_training_that_stands_still_stops_early(tiny_manifest, tmp_path):
    # Six val images: the accuracy of one exit cannot rise seven times without learning.
    run = prepared(
        tiny_manifest, tmp_path / "run", "precision=bf16-mixed", "patience=1", "epochs=8",
        "optimizer.lr=1e-12", "select=final", "weight_average=0",
    )  # fmt: skip
    rows = metrics(fitting.fit(run, HERE).path)
    assert 1 < len(rows) < 8
    assert run.config.training_precision == "bf16-mixed"
    assert {value.dtype for name, value in weights(run.path).items() if "weight" in name} == {
        torch.float32
    }
    card = (run.path / "model_card.md").read_text()
    best = max(range(len(rows)), key=lambda i: (
        float(rows[i]["val/accuracy_exit_4"]), -float(rows[i]["val/loss_exit_4"])
    ))  # fmt: skip
    marks = [(float(row["val/score"]), float(row["val/tie_break"])) for row in rows]
    assert marks.index(max(marks)) == best, "the metrics alone say which epoch was kept"
    assert f"{len(rows)} epochs; the weights are those of epoch {best + 1}, chosen on the" in card


def test_a_run_is_trained_by_one_process_at_a_time(tiny_manifest, tmp_path):
    run = prepared(tiny_manifest, tmp_path / "run")
    with (
        FileLock(run.path / ".lock"),
        pytest.raises(RunError, match=r"is being trained by another process: wait for its end"),
    ):
        fitting.fit(run, HERE)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("wrong", [{"accelerator": "gpu"}, {"parallel": "dpp"}])
def test_a_machine_that_cannot_do_it_is_wrong_usage(tiny_manifest, tmp_path, wrong):
    run = prepared(tiny_manifest, tmp_path / "run")
    option = " ".join(f"--{name} {value}" for name, value in wrong.items())
    with pytest.raises(UsageError, match=rf"{option}.* cannot be used here: .*train --resume"):
        fitting.fit(run, fitting.Machine(**{"accelerator": "cpu", **wrong}))


def test_a_full_disk_while_saving_leaves_the_last_checkpoint(tiny_manifest, tmp_path, monkeypatch):
    run = prepared(tiny_manifest, tmp_path / "run")
    save = safetensors.torch.save_file
    written = []

    def full(tensors, filename, metadata=None):
        written.append(filename)
        if metadata is not None and len(written) > 2:  # the second checkpoint
            Path(filename).write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save(tensors, filename, metadata=metadata)

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    with pytest.raises(EndoexitError, match=r"cannot write .*last.safetensors: No space left"):
        fitting.fit(run, HERE)
    monkeypatch.undo()
    assert not list(run.path.rglob("*.part"))
    assert len(metrics(fitting.fit(fitting.resume(run.path), HERE).path)) == 2


def test_a_damaged_checkpoint_says_what_to_do(tiny_manifest, tmp_path):
    run = prepared(tiny_manifest, tmp_path / "run")
    last = run.path / fitting.LAST
    last.parent.mkdir()
    last.write_bytes(b"\x10\0\0\0\0\0\0\0nonsense")
    with pytest.raises(RunError, match=r"is damaged .* delete it and resume"):
        fitting.fit(run, HERE)


def test_a_folder_that_exists_is_not_overwritten(tiny_run, tiny_manifest):
    done = endoexit("train", tiny_manifest, "--out", tiny_run)
    assert done.returncode == 2
    assert f"{tiny_run} has been trained already: choose another --out." in done.stderr


def test_wrong_usage_exits_with_2(tiny_manifest, tmp_path):
    for arguments, message in (
        ([], "give a MANIFEST to start a training, or --resume RUN"),
        ([tiny_manifest, "--model", "ee_hifuse_nao"], "did you mean 'ee_hifuse_nano'?"),
        ([tiny_manifest, "--set", "epoch=3"], "did you mean 'epochs'?"),
        (
            ["--resume", tmp_path, "--set", "epochs=3", "--seed", 0, "--out", tmp_path],
            "keeps its settings and its folder: leave out --out, --seed, --set.",
        ),
        ([tiny_manifest, "--accelerator", "gpus"], "--accelerator"),
    ):
        done = endoexit("train", *arguments, cwd=tmp_path)
        assert done.returncode == 2, done.stderr
        assert message in done.stderr
        assert done.stdout == ""
