"""What a run keeps: metrics of every epoch, and the epoch whose weights were best."""

import csv
import time
from types import SimpleNamespace

import pytest

from endoexit.training import callbacks
from endoexit.training.callbacks import METRICS, KeepRun, _write_metrics


def test_the_metrics_of_a_run_have_one_row_an_epoch(tiny_run):
    with (tiny_run / METRICS).open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert list(rows[0])[:3] == ["epoch", "train/loss", "learning_rate"]
    assert {f"val/accuracy_exit_{k}" for k in range(1, 5)} <= set(rows[0])
    assert all(float(row["train/loss"]) > 0 for row in rows)
    assert list(rows[0])[-2:] == ["seconds", "cpu_seconds"]


def test_the_processor_time_of_an_epoch_does_not_count_waiting(tmp_path, monkeypatch):
    keep, kept = KeepRun(tmp_path, has_val=True), []
    loss = SimpleNamespace(compute=lambda: 1.0, reset=lambda: None)
    module = SimpleNamespace(train_loss=loss, log=lambda *_: None)
    rate = SimpleNamespace(param_groups=[{"lr": 0.1}])
    trainer = SimpleNamespace(current_epoch=0, optimizers=[rate], is_global_zero=True, max_epochs=1)
    monkeypatch.setattr(callbacks, "_write_metrics", lambda _, rows: kept.extend(rows))
    keep.on_train_epoch_start(trainer, module)
    wall, cpu = time.perf_counter(), time.process_time()
    monkeypatch.setattr(time, "perf_counter", lambda: wall + 100)  # another process has the cores
    monkeypatch.setattr(time, "process_time", lambda: cpu + 20)
    keep._record(trainer, module, {})
    assert kept[0]["seconds"] >= 100
    assert 20 <= kept[0]["cpu_seconds"] < 21


def test_a_column_that_early_epochs_lack_is_left_out(tmp_path):
    """As in a training that an earlier version began."""
    rows = [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "new": 1, "loss": 1}]
    _write_metrics(tmp_path / "m.csv", rows)
    assert (tmp_path / "m.csv").read_text() == "epoch,loss\n1,0.5\n2,1\n"


def test_what_a_checkpoint_keeps_comes_back(tmp_path):
    keep, restored = (KeepRun(tmp_path, has_val=True) for _ in range(2))
    keep.history, keep.best, keep.best_epoch = [{"epoch": 1.0}], (0.5, -1.0), 1
    restored.load_state_dict(keep.state_dict())
    assert (restored.history, restored.best, restored.best_epoch) == (keep.history, (0.5, -1.0), 1)
    with pytest.raises(KeyError):
        restored.load_state_dict({})
