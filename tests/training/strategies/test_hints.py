"""Hints: the loss by its formula, which exits follow which, what is kept, what is refused."""

import copy

import pytest
import safetensors.torch
import torch
from torch import nn

import tiny_project
from cascade_runs import LARGE, member_run
from endoexit.errors import UsageError
from endoexit.models import create_model
from endoexit.training.fit import Machine, fit
from endoexit.training.recipe import read_recipe
from endoexit.training.start import create_run
from endoexit.training.strategies.base import Shown
from endoexit.training.strategies.distil import DistilSettings
from endoexit.training.strategies.hints import Hints, seen_by_exits

TINY = {"heads": [1] * 4, "depths": [1] * 4}


@pytest.fixture(scope="module")
def networks():
    torch.manual_seed(0)
    return (
        create_model("ee_hifuse_nano", 3, width=8, **TINY).eval(),
        create_model("ee_hifuse_nano", 3, width=16, **TINY, exits=(1, 3)).eval(),
    )


def test_each_exit_follows_the_one_at_the_nearest_share(networks):
    hints = Hints(networks[0], 32, networks[1], 64)
    assert len(hints.exits) == 4
    assert hints.exits[0] == 0
    assert hints.exits[-1] == 2
    assert hints.exits == sorted(hints.exits)
    widths = [(r.in_channels, r.out_channels) for r in hints.regressions]
    assert [pair[0] for pair in widths] == [8, 16, 32, 64]


def test_the_loss_is_half_the_mean_square_after_the_regression(networks):
    small, large = networks
    hints = Hints(small, 32, large, 64)
    logits, maps = seen_by_exits(small, torch.rand(2, 3, 32, 32))
    _, taught = seen_by_exits(large, torch.rand(2, 3, 64, 64))
    for z, expected in zip(logits, small(torch.zeros(2, 3, 32, 32)), strict=True):
        assert z.shape == expected.shape
    losses = hints(maps, tuple(taught))
    for k, loss in enumerate(losses):
        layer, theirs = hints.regressions[k], taught[hints.exits[k]]
        kernel = layer.weight[:, :, 0, 0]
        ours = torch.einsum("oc,bchw->bohw", kernel, maps[k]) + layer.bias[:, None, None]
        while theirs.shape[-1] > ours.shape[-1]:
            theirs = nn.functional.avg_pool2d(theirs, 2)
        while ours.shape[-1] > theirs.shape[-1]:
            ours = nn.functional.avg_pool2d(ours, 2)
        torch.testing.assert_close(loss, ((theirs - ours) ** 2).mean() / 2)
    sum(losses).backward()
    assert all(parameter.grad is None for parameter in large.parameters())
    assert all(layer.weight.grad is not None for layer in hints.regressions)
    small.zero_grad()


def test_they_are_added_with_their_factor(networks):
    small, large = networks
    plain, hinted = (
        DistilSettings(teacher="x", hints=factor).build(4, 0.1) for factor in (0.0, 0.5)
    )
    for strategy in (plain, hinted):
        strategy.follow(small, 32, large, 64)
    assert plain.hints is None
    images, labels = torch.rand(2, 3, 32, 32), torch.tensor([0, 2])
    logits, taught = seen_by_exits(large, torch.rand(2, 3, 64, 64))
    teacher = torch.stack(logits)
    ones = torch.ones(1, 3, 1, 1)
    shown = Shown(images, labels, 0 * ones, ones, tuple(taught))
    answers = hinted.answers(small, shown)
    assert len(answers) == 8
    expected = plain(plain.answers(small, shown), labels, teacher) + sum(answers[4:]) / 2
    torch.testing.assert_close(hinted(answers, labels, teacher), expected)


def prepared(manifest, path, teacher):
    recipe = tiny_project.write_recipe(manifest.parent)
    taught = f"strategy={{name: distil, teacher: '{teacher}', hints: 1}}"
    settings = read_recipe(str(recipe), ["image={size: 32, canvas: 40}", "epochs=1", taught])
    return create_run(path, manifest, "ee_hifuse_nano", settings, seed=0, root=None)


def test_the_run_keeps_the_tensors_of_its_network_alone(tiny_manifest, tmp_path):
    teacher = member_run(tmp_path / "large", tiny_manifest, LARGE, 1, (2,))
    run = fit(prepared(tiny_manifest, tmp_path / "run", teacher.path),
              Machine(accelerator="cpu", threads=1))  # fmt: skip
    kept = safetensors.torch.load_file(run.path / "weights.safetensors")
    assert kept.keys() == run.create_model().state_dict().keys()


def test_they_learn_in_double_precision_too(networks):
    model, teacher = map(copy.deepcopy, networks)
    hints = Hints(model, 32, teacher, 32).double()
    model.double(), teacher.double()
    images = torch.rand(2, 3, 32, 32, dtype=torch.float64)
    maps, taught = (seen_by_exits(network, images)[1] for network in (model, teacher))
    assert {loss.dtype for loss in hints(maps, tuple(taught))} == {torch.float64}


def test_a_teacher_without_early_exits_is_refused(networks):
    single = create_model("hifuse_nano", 3, width=16, **TINY)
    with pytest.raises(UsageError, match="need a teacher with early exits"):
        Hints(networks[0], 32, single, 64)
