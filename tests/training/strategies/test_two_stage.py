"""Two parts of a training: what learns in each, what is kept, and what is refused."""

from types import SimpleNamespace

import pytest
import safetensors.torch
import torch

import tiny_project
from endoexit.errors import UsageError
from endoexit.images.preprocessing import Preprocessing
from endoexit.models import create_model
from endoexit.training import fit as fitting
from endoexit.training.module import ExitTraining
from endoexit.training.recipe import Recipe, read_recipe
from endoexit.training.start import create_run
from endoexit.training.strategies.joint import JointSettings
from endoexit.training.strategies.two_stage import TwoStageSettings
from golden_losses import golden_logits, shown


def begun(epoch, epochs=4, **settings):
    strategy = TwoStageSettings(**settings).build(3, 0.1)
    strategy.begin_epoch(epoch, epochs)
    return strategy


def test_the_parts_are_joint_sums_of_the_exits_that_learn():
    logits, labels = golden_logits("phuong_lampert")
    joint_of_one, joint_of_two = (JointSettings().build(count, 0.1) for count in (1, 2))
    first, second = begun(2), begun(3)
    assert torch.equal(first(logits, labels), joint_of_one(logits[-1:], labels))
    torch.testing.assert_close(second(logits, labels), joint_of_two(logits[:-1], labels))
    assert (first.keeps, second.keeps) == (False, True)


@pytest.mark.parametrize("name", ["ee_hifuse_nano", "efficientnet_lite0", "bof_cifar10"])
def test_answers_are_those_of_the_network_and_reach_what_learns_alone(name):
    settings = {
        "ee_hifuse_nano": {"width": 8, "heads": [1] * 4, "depths": [1] * 4, "exits": [1, 2]},
        "efficientnet_lite0": {"exits": "3,5", "size": 32},
        "bof_cifar10": {"size": 32},
    }
    model = create_model(name, 3, **settings[name]).eval()
    images = torch.randn(2, 3, 32, 32)
    logits = model(images)
    for epoch, expected in ((1, logits[-1:]), (4, logits[:-1])):
        strategy = begun(epoch)
        rests = {id(p) for part in strategy.resting(model) for p in part.parameters()}
        for parameter in model.parameters():
            parameter.requires_grad_(id(parameter) not in rests)
        answers = strategy.answers(model, shown(images))
        for got, want in zip(answers, expected, strict=True):
            assert torch.equal(got, want)
        model.zero_grad()
        strategy(answers, torch.tensor([0, 2])).backward()
        for name_of, parameter in model.named_parameters():
            assert (parameter.grad is None) == (id(parameter) in rests), name_of


CHANGES = ("strategy.name=two-stage", "epochs=3", "image={size: 32, canvas: 40}", "select=final")


def test_the_early_exits_learn_on_a_trunk_that_stays_as_it_was(tiny_manifest, tmp_path):
    recipe = tiny_project.write_recipe(tiny_manifest.parent)
    settings = read_recipe(str(recipe), [*CHANGES, "weight_average=0"])
    run = create_run(tmp_path / "run", tiny_manifest, "ee_hifuse_nano", settings, seed=0, root=None)
    before = run.create_model().state_dict()
    snapshots = []
    step = ExitTraining.training_step

    def watched(self, batch, batch_idx):
        if batch_idx == 0:
            state = self.model.state_dict()
            snapshots.append({name: value.clone() for name, value in state.items()})
        return step(self, batch, batch_idx)

    def stopped(self, batch, batch_idx):
        if self.current_epoch == 2:
            raise KeyboardInterrupt
        return watched(self, batch, batch_idx)

    here = fitting.Machine(accelerator="cpu", threads=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ExitTraining, "training_step", stopped)
        with pytest.raises(KeyboardInterrupt):
            fitting.fit(run, here)
        assert not run.has_weights, "the early exits of the first part have not learnt"
        patch.setattr(ExitTraining, "training_step", watched)
        fitting.fit(fitting.resume(run.path), here)
    start, _, turn = snapshots  # round(0.5 · 3) = 2 epochs of the first part
    kept = safetensors.torch.load_file(run.path / "weights.safetensors")

    def changed(before, after):
        return {name for name in before if not torch.equal(before[name], after[name])}

    early = {name for name in before if ".head." in name and not name.startswith("stages.3.")}
    assert changed(start, turn)
    assert not changed(start, turn) & early
    assert changed(turn, kept)
    assert changed(turn, kept) <= early
    rows = (run.path / "metrics.csv").read_text().splitlines()
    assert len(rows) == 4, "every epoch is recorded, though only the last one could be kept"


def test_the_rate_rises_and_falls_in_each_part():
    optimizer = {"lr": 1.0, "warmup_epochs": 1, "warmup_start": 0.1, "final": 0.0}
    settings = {"name": "two-stage", "trunk_share": 0.4}
    recipe = Recipe.model_validate(
        {"epochs": 10, "optimizer": optimizer, "strategy": settings, "image": {"size": 32}}
    )
    model = create_model("ee_hifuse_nano", 3, width=8, heads=[1] * 4, depths=[1] * 4)
    module = ExitTraining(model, recipe, Preprocessing(size=32), 0)
    module._trainer = SimpleNamespace(estimated_stepping_batches=100)
    rate = module.configure_optimizers()["lr_scheduler"]["scheduler"].lr_lambdas[0]
    assert [rate(step) for step in (0, 10, 40, 50, 100)] == pytest.approx([0.1, 1, 0.1, 1, 0])
    assert rate(39) < 0.01


def test_what_it_cannot_do_is_refused():
    for changes, message in (
        ({"epochs": 1}, "set epochs to at least 2"),
        ({"epochs": 9, "patience": 3}, "leave patience out"),
    ):
        recipe = Recipe.model_validate({"strategy": {"name": "two-stage"}} | changes)
        with pytest.raises(UsageError, match=message):
            recipe.make_strategy(3)
