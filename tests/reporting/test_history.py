"""The epoch whose weights were kept, as the training chose it."""

import pytest

from endoexit.reporting.history import read_history
from endoexit.reporting.material import Absent
from endoexit.reporting.training import UNKNOWN, training_curves
from report_material import make_material

TIED = [(1, 0.5, -0.9), (2, 0.8, -0.7), (3, 0.8, -0.4), (4, 0.8, -0.4), (5, 0.6, -0.1)]


def write(path, rows, names):
    lines = [",".join(names)] + [",".join(map(str, row)) for row in rows]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def tied(tmp_path):
    rows = [(epoch, 1.0, score, tie) for epoch, score, tie in TIED]
    names = ("epoch", "train/loss", "val/score", "val/tie_break")
    return write(tmp_path / "metrics.csv", rows, names)


def test_of_epochs_that_score_alike_the_lower_loss_was_kept_and_of_those_the_first(tied):
    assert read_history(tied).best == 3


def test_nothing_is_claimed_where_the_run_does_not_say_what_broke_the_tie(tmp_path):
    names = ("epoch", "train/loss", "val/score")
    rows = [(epoch, 1.0, score) for epoch, score, _ in TIED]
    history = read_history(write(tmp_path / "metrics.csv", rows, names))
    assert history.best is None
    (loss,) = training_curves(make_material(history=history))
    assert UNKNOWN in loss.alt
    assert UNKNOWN in loss.caption
    assert b"kept" not in loss.svg
    alone = read_history(write(tmp_path / "metrics.csv", rows[:2], names))
    assert alone.best == 2


def test_without_val_the_last_epoch_was_kept(tmp_path):
    rows = [(1, 0.5), (2, 0.9)]
    history = read_history(write(tmp_path / "metrics.csv", rows, ("epoch", "train/loss")))
    assert history.best == 2


@pytest.mark.parametrize("text", ["", "epoch\n1\n", "epoch,train/loss\n1,much\n", "\xff"])
def test_damaged_metrics_are_left_out(tmp_path, text):
    (tmp_path / "metrics.csv").write_bytes(text.encode("latin-1"))
    assert isinstance(read_history(tmp_path / "metrics.csv"), Absent)
