"""Training curves: what the history has, and which epoch was kept."""

from endoexit.reporting.material import History
from endoexit.reporting.training import UNKNOWN, training_curves
from report_material import make_material

LOSS = {"epoch": (1, 2, 3), "train/loss": (3.0, 2.0, 1.5)}
ACCURACY = {f"val/accuracy_exit_{k}": (0.1 * k, 0.2 * k, 0.15 * k) for k in range(1, 5)}


def curves(columns, best):
    return training_curves(make_material(history=History(columns, best)))


def test_the_loss_is_drawn_and_the_accuracy_where_there_is_a_val_role():
    (loss,) = curves(LOSS, 3)
    assert loss.name == "training-loss"
    assert loss.alt == (
        "Training loss over 3 epochs: from 3.000 to 1.500. The weights of epoch 3 were kept."
    )
    assert [picture.name for picture in curves(LOSS | ACCURACY, 2)] == [
        "training-loss", "training-accuracy"
    ]  # fmt: skip
    assert training_curves(make_material()) == []


def test_the_accuracy_is_told_at_the_epoch_that_was_kept():
    _, accuracy = curves(LOSS | ACCURACY, 2)
    assert "At the kept epoch 2: exit 1 20.0 %, exit 2 40.0 %" in accuracy.alt
    loss, unknown = curves(LOSS | ACCURACY, None)
    assert UNKNOWN in loss.alt
    assert UNKNOWN in loss.caption
    assert "At the last epoch 3: exit 1 15.0 %" in unknown.alt
