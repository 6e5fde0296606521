"""Recipes of earlier versions: read as what they mean today."""

import json
from pathlib import Path

import pytest

from endoexit.errors import UsageError
from endoexit.training.earlier import in_todays_words
from endoexit.training.recipe import read_recipe, validate_recipe
from endoexit.training.strategies.joint import JointSettings
from endoexit.training.strategies.self_distil import SelfDistilSettings
from endoexit.training.strategies.weighted import WeightedSettings

OLD_RUN = Path(__file__).parents[1] / "golden" / "release-0.1" / "run" / "config.json"


@pytest.mark.parametrize(
    ("changes", "strategy"),
    [
        ([], JointSettings()),
        (["loss.distillation=0"], JointSettings()),
        (["loss.distillation=0.3"], SelfDistilSettings(alpha=0.3)),
        (["loss.exit_weights=[1, 2]"], WeightedSettings(weights=(1.0, 2.0))),
        (
            ["loss.exit_weights=[1, 2]", "loss.distillation=0.3"],
            SelfDistilSettings(alpha=0.3, weights=(1.0, 2.0)),
        ),
    ],
)
def test_their_loss_is_a_strategy_now(changes, strategy):
    recipe = read_recipe("small-data", changes)
    assert recipe.strategy == strategy
    assert recipe.loss.label_smoothing == 0.1


def test_a_run_of_the_first_release_reads():
    document = json.loads(OLD_RUN.read_text())["recipe"]
    assert {"exit_weights", "distillation"} <= document["loss"].keys()
    assert validate_recipe(document, "config.json").strategy == JointSettings()


def test_old_and_new_words_together_are_refused():
    with pytest.raises(UsageError, match=r"set strategy.weights and strategy.alpha"):
        read_recipe("small-data", ["loss.distillation=0.3", "strategy.name=joint"])


def test_any_other_document_stays_as_it_is():
    for document in (None, 3, {}, {"loss": 3}, {"loss": {"label_smoothing": 0.1}}):
        assert in_todays_words(document) == document
