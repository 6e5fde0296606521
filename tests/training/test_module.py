"""The module: inputs as in prediction, what is random, the epoch that is chosen, the optimiser."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from endoexit.images.preprocessing import Preprocessing
from endoexit.models import create_model
from endoexit.training.module import ExitTraining
from endoexit.training.recipe import Recipe

PREPROCESSING = Preprocessing(size=32, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))


def module(**recipe: object) -> ExitTraining:
    """A network with two exits, as the trainer would hold it."""
    model = create_model(
        "ee_hifuse_nano", 3, width=8, heads=(1, 1, 1, 1), depths=(1, 1, 1, 1), exits=(1,)
    )
    image = {"size": 32, "canvas": 40, "early_size": 64, "early_share": 0.5}
    made = ExitTraining(model, Recipe.model_validate({"image": image} | recipe), PREPROCESSING, 7)
    made._trainer = SimpleNamespace(
        training=True, global_step=5, global_rank=0, current_epoch=9, estimated_stepping_batches=100
    )
    return made


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    return torch.from_numpy(images).permute(0, 3, 1, 2), torch.tensor([0, 1, 2, 0])


def test_validation_sees_what_prediction_sees():
    made = module()
    made.trainer.training = False
    images, labels = batch()
    seen, same = made.on_after_batch_transfer((images, labels), 0)
    expected = PREPROCESSING.normalise(images.permute(0, 2, 3, 1).numpy())
    np.testing.assert_allclose(seen.numpy(), expected, atol=1e-5)
    assert same is labels


def test_training_depends_on_seed_step_and_process_alone():
    def seen(**changes: int) -> torch.Tensor:
        made = module(epochs=10)
        vars(made.trainer).update(changes)
        torch.manual_seed(np.random.default_rng().integers(2**31).item())  # what was before
        return made.on_after_batch_transfer(batch(), 0)[0]

    first = seen()
    assert torch.equal(seen(), first)
    assert not torch.equal(seen(global_step=6), first)
    assert not torch.equal(seen(global_rank=1), first)
    assert first.shape == (4, 3, 32, 32)
    assert seen(current_epoch=4).shape == (4, 3, 64, 64)


@pytest.mark.parametrize(
    ("recipe", "score", "tie"),
    [
        ({"select": "mean"}, 0.625, -0.7),
        ({"select": "final"}, 0.5, -0.5),
        ({"select": 1}, 0.75, -0.9),
        ({"select": "mean", "select_by": "loss"}, -0.7, 0.625),
        ({"select": 1, "select_by": "loss"}, -0.9, 0.75),
    ],
)
def test_the_epoch_is_chosen_by_the_exit_and_the_figure_that_the_recipe_names(recipe, score, tie):
    made = module(**recipe)
    labels = torch.tensor([0, 1, 2, 0])
    made.val_accuracy["exit_1"].update(torch.tensor([0, 1, 2, 1]), labels)
    made.val_accuracy["exit_2"].update(torch.tensor([0, 1, 1, 1]), labels)
    made.val_loss["exit_1"].update(torch.tensor(0.9))
    made.val_loss["exit_2"].update(torch.tensor(0.5))
    summary = made.validation_summary()
    assert summary["val/accuracy_exit_1"] == 0.75
    assert summary["val/loss_exit_2"] == 0.5
    assert (summary["val/score"], summary["val/tie_break"]) == pytest.approx((score, tie))


def test_frozen_normalisation_keeps_weights_and_statistics_while_the_exits_learn():
    made = ExitTraining(
        create_model("efficientnet_lite0", 3, size=32, exits="3"),
        Recipe.model_validate({"image": {"size": 32}, "optimizer": {"freeze_norm": True}}),
        PREPROCESSING,
        7,
    ).train()
    before = {name: value.clone() for name, value in made.model.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in made.model.parameters() if p.requires_grad], lr=0.1)
    sum(z.square().sum() for z in made.model(torch.randn(4, 3, 32, 32))).backward()
    optimizer.step()
    after = made.model.state_dict()
    still = {name for name in before if before[name].equal(after[name])}
    norms = {name for name in before if "bn" in name}
    assert norms <= still
    assert {name for name in still - norms if "num_batches" not in name} == set()
    assert not before["stages.0.head.inner.2.running_mean"].equal(
        after["stages.0.head.inner.2.running_mean"]
    )


@pytest.mark.parametrize("warmup", [1, 2, 50])
def test_in_a_short_training_the_rate_still_falls(warmup):
    made = module(epochs=2, optimizer={"lr": 1.0, "warmup_epochs": warmup, "final": 0.0})
    made.trainer.estimated_stepping_batches = 16
    scheduler = made.configure_optimizers()["lr_scheduler"]["scheduler"]
    rates = [scheduler.lr_lambdas[0](step) for step in range(17)]
    assert max(rates) == 1.0
    assert rates[-1] == pytest.approx(0.0, abs=1e-9)


def test_vectors_and_biases_are_not_decayed():
    made = module(optimizer={"weight_decay": 0.07, "lr": 0.01, "warmup_start": 0.5})
    configured = made.configure_optimizers()
    decayed, free = configured["optimizer"].param_groups
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.07, 0.0)
    assert all(parameter.ndim > 1 for parameter in decayed["params"])
    assert all(parameter.ndim == 1 for parameter in free["params"])
    count = len(decayed["params"]) + len(free["params"])
    assert count == len(list(made.model.parameters()))
    assert decayed["lr"] == pytest.approx(0.005)  # the first step of the warm-up
