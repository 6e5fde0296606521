"""Defaults of a training: recipe, folder, and what the network's settings become."""

from dataclasses import replace
from pathlib import Path
from typing import get_type_hints

import pytest

from endoexit.cli.train import train
from endoexit.errors import UsageError
from endoexit.training.asked import MODEL, RECIPE, RECIPE_WITH_WEIGHTS, TrainingRequest
from endoexit.training.strategies.distil import DistilSettings
from endoexit.training.strategies.joint import JointSettings
from endoexit.training.strategies.self_distil import SelfDistilSettings

MANIFEST = Path("manifest.csv")


@pytest.mark.parametrize(
    ("request_", "folder"),
    [
        (TrainingRequest(MANIFEST), "ee_hifuse_nano-small-data-seed0"),
        (
            TrainingRequest(MANIFEST, "efficientnet_lite0", weights="pip:lite0", seed=3),
            "efficientnet_lite0-fine-tune-seed3",
        ),
        (
            TrainingRequest(MANIFEST, "nets/mine.py:small", recipe="mine/quick.yaml"),
            "mine-small-quick-seed0",
        ),
        (TrainingRequest(MANIFEST, "timm:resnet18"), "timm-resnet18-small-data-seed0"),
    ],
)
def test_the_folder_is_named_after_network_recipe_and_seed(
    request_: TrainingRequest, folder: str
) -> None:
    assert request_.path == Path("runs") / folder
    assert TrainingRequest(MANIFEST, out=Path("there")).path == Path("there")


def test_exits_and_head_become_settings_of_the_network_where_they_are_given() -> None:
    asked = TrainingRequest(MANIFEST, weights="pip:lite0", exits="3,5", changes=("epochs=2",))
    plain = TrainingRequest(MANIFEST, weights="pip:lite0").settings()
    settings = asked.settings()
    assert settings.epochs == 2
    assert settings.model == {**plain.model, "exits": "3,5"}


def test_a_strategy_has_its_defaults_and_not_the_settings_of_the_recipe(tmp_path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("epochs: 2\nstrategy: {name: self-distil, alpha: 0.3}\n")
    asked = TrainingRequest(MANIFEST, recipe=str(mine), strategy="linear: no")
    with pytest.raises(UsageError, match="linear: no"):
        asked.settings()
    settings = replace(asked, strategy="self-distil").settings()
    assert settings.strategy == SelfDistilSettings()
    changed = replace(asked, strategy="self-distil", changes=("strategy.alpha=0.1",)).settings()
    assert changed.strategy == SelfDistilSettings(alpha=0.1)
    assert replace(asked, strategy="joint").settings().strategy == JointSettings()


def test_a_teacher_is_for_one_strategy() -> None:
    asked = TrainingRequest(MANIFEST, teacher=Path("runs/a: b"))
    for strategy in (None, "distil"):
        settings = replace(asked, strategy=strategy).settings().strategy
        assert settings == DistilSettings(teacher="runs/a: b")
    with pytest.raises(UsageError, match=r"strategy distil, not joint: leave out --teacher or "):
        replace(asked, strategy="joint").settings()


def test_the_help_names_the_defaults() -> None:
    hints = get_type_hints(train, include_extras=True)
    assert f"[default: {MODEL}]" in hints["model"].__metadata__[0].help
    assert f"[default: {RECIPE}; with --weights: {RECIPE_WITH_WEIGHTS}]" in (
        hints["recipe"].__metadata__[0].help
    )
