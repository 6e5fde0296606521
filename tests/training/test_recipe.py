"""Recipes: validated, with the nearest key for a misspelt one."""

import re
from importlib import resources

import pytest

from endoexit.errors import UsageError
from endoexit.training.module import learning_rate_factor
from endoexit.training.recipe import OptimizerSettings, Recipe, list_recipes, read_recipe
from endoexit.training.start import create_model_cheaply, network_of
from endoexit.training.strategies.catalog import STRATEGIES
from endoexit.training.strategies.self_distil import SelfDistilSettings


@pytest.mark.parametrize("name", list_recipes())
def test_every_recipe_fits_a_network(name):
    recipe = read_recipe(name)
    for model in ("ee_hifuse_nano", "hifuse_nano", "efficientnet_lite0"):
        create_model_cheaply(model, 5, recipe)


def test_the_papers_recipe_is_the_papers():
    recipe = read_recipe("paper")
    assert (recipe.epochs, recipe.batch_size, recipe.image.size) == (100, 64, 224)
    assert recipe.optimizer.lr == 1e-4
    assert recipe.strategy.name == "joint"
    preprocessing = recipe.image.preprocessing()
    assert round(preprocessing.size / preprocessing.crop_ratio) == 256
    assert (preprocessing.mean, preprocessing.std) == ((0.5,) * 3, (0.5,) * 3)


def test_settings_of_a_family_hold_for_its_networks_alone():
    recipe = read_recipe("small-data")
    assert network_of("ee_hifuse_nano", 5, recipe).settings == {"drop_path": 0.05}
    assert network_of("efficientnet_lite0", 5, recipe).settings == {}
    changed = read_recipe("small-data", ["model.drop_path=0.2"])
    assert network_of("ee_hifuse_nano", 5, changed).settings == {"drop_path": 0.2}
    with pytest.raises(UsageError, match="unknown family in the recipe 'hifus'"):
        network_of("hifuse_nano", 5, read_recipe("paper", ["families.hifus.width=8"]))


def test_settings_can_be_changed_by_key():
    recipe = read_recipe("paper", ["epochs=5", "augment.mixup=0.2", "model.drop_path=0.1"])
    assert recipe.epochs == 5
    assert recipe.augment.mixup == 0.2
    assert recipe.model == {"drop_path": 0.1}
    assert recipe.batch_size == 64


def test_a_file_that_is_no_mapping_or_no_yaml_is_refused(tmp_path):
    for content, message in (
        (b"- 1\n", "must be a mapping"),
        (b"a: [", "not valid YAML"),
        (b"name: \xe9", "not valid YAML in UTF-8"),
    ):
        path = tmp_path / "own.yaml"
        path.write_bytes(content)
        with pytest.raises(UsageError, match=message):
            read_recipe(str(path))


def test_a_strategy_is_chosen_by_name_and_has_settings_of_its_own():
    recipe = read_recipe("paper", ["strategy.name=self-distil", "strategy.alpha=0.3"])
    assert recipe.strategy == SelfDistilSettings(alpha=0.3)
    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe
    assert recipe.strategy.name in STRATEGIES


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["select=5"], "select names exit 5, but this network has exits 1 to 4"),
        (["loss.exit_weights=[1, 2]"], "must be 4 numbers"),
        (["strategy={name: weighted, weights: [1, 2, 3, 0]}"], "the last above 0, or one of equal"),
        (
            ["strategy={name: distil, teacher: runs/large, exits: [1, 5]}"],
            "strategy.exits names exit 5, but this network has exits 1 to 4",
        ),
        (["image.size=100"], "must be multiples of 32"),
        (["model.widht=8"], "did you mean 'width'?"),
        (["model.width=wide"], "width must be a whole number, got 'wide'"),
    ],
)
def test_a_recipe_that_does_not_fit_the_network_is_refused_before_it_starts(changes, message):
    recipe = read_recipe("paper", changes)
    with pytest.raises(UsageError) as caught:
        create_model_cheaply("ee_hifuse_nano", 5, recipe)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("image.size=320", r"canvas of 256 pixels is smaller than the image of 320: .*canvas=640"),
        ("image.mean=[123.7, 116.3, 103.5]", r"image\.mean"),
        ("image.std=[58.4, 57.1, 57.4]", r"image\.std"),
        ("image.std=[0, 0.2, 0.2]", r"image\.std"),
    ],
)
def test_sizes_and_normalisations_that_would_spoil_a_training_are_refused(change, message):
    with pytest.raises(UsageError, match=message):
        read_recipe("paper", [change])
    assert read_recipe("paper", ["image.mean=[0, 0, 0]", "image.std=[1, 1, 1]"])


def test_the_learning_rate_warms_up_and_falls_as_a_cosine():
    settings = OptimizerSettings(warmup_start=0.1, final=0.01)
    rates = [learning_rate_factor(step, 110, 10, settings) for step in range(111)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[5] == pytest.approx(0.55)
    assert rates[10] == pytest.approx(1.0)
    assert rates[60] == pytest.approx((1 + 0.01) / 2)
    assert rates[110] == pytest.approx(0.01)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_progressive_resizing_switches_once():
    image = Recipe.model_validate(
        {"image": {"size": 128, "early_size": 96, "early_share": 0.6}}
    ).image
    assert [image.crop_size(epoch, 10) for epoch in range(10)] == [96] * 6 + [128] * 4
    assert Recipe().image.crop_size(0, 10) == 224


@pytest.mark.parametrize("name", list_recipes())
def test_every_recipe_opens_with_its_command_time_and_result(name):
    file = resources.files("endoexit.training") / "recipes" / f"{name}.yaml"
    opening = file.read_text(encoding="utf-8").partition("\nepochs:")[0]
    assert all(line.startswith("#") for line in opening.splitlines())
    for words in (
        r"#   endoexit (train|demo) ",
        r"Expected time: ",
        r"Expected (result|accuracy): ",
    ):
        assert re.search(words, opening), words
