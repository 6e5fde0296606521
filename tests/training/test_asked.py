"""Defaults of a training: recipe, folder, and what the network's settings become."""

from pathlib import Path
from typing import get_type_hints

import pytest

from endoexit.cli.train import train
from endoexit.training.asked import MODEL, RECIPE, RECIPE_WITH_WEIGHTS, TrainingRequest

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


def test_the_help_names_the_defaults() -> None:
    hints = get_type_hints(train, include_extras=True)
    assert f"[default: {MODEL}]" in hints["model"].__metadata__[0].help
    assert f"[default: {RECIPE}, with --weights {RECIPE_WITH_WEIGHTS}]" in (
        hints["recipe"].__metadata__[0].help
    )
