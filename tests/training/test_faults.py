"""Wrong recipes: where, why, and the nearest key."""

import pytest

from endoexit.errors import UsageError
from endoexit.training.recipe import read_recipe


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("papr", [], "unknown recipe 'papr': did you mean 'paper'?"),
        ("nowhere.yaml", [], "recipe file nowhere.yaml does not exist"),
        ("paper", ["epoch=5"], "unknown key in recipe paper 'epoch': did you mean 'epochs'?"),
        ("paper", ["zzzzz=5"], "unknown key in recipe paper 'zzzzz': known: augment, batch_size, "),
        ("paper", ["image_size=64"], "'image_size': did you mean 'image.size'?"),
        ("paper", ["lr=1"], "unknown key in recipe paper 'lr': did you mean 'optimizer.lr'?"),
        (
            "paper",
            ["image=64"],
            "image is a section, got the value 64: set one of image.size, image.canvas, image.re",
        ),
        (
            "paper",
            ["model=hifuse_nano"],
            "model is a section, got the value 'hifuse_nano': it holds settings of the network, "
            "such as model.drop_path; --model names the network.",
        ),
        ("paper", ["optimizer.ler=1"], "section optimizer 'ler': did you mean 'lr'?"),
        ("paper", ["epochs=0"], "epochs does not fit: Input should be greater than or equal to 1"),
        (
            "paper",
            ["optimizer.lr=fast"],
            "optimizer.lr does not fit: Input should be a valid number",
        ),
        ("paper", ["epochs"], "must read key=value, such as epochs=5; got 'epochs'"),
        ("paper", ["epochs.x=5"], "'epochs' is not a section of the recipe"),
        ("paper", ["epochs=["], "the value of 'epochs=[' is not valid YAML"),
        ("paper", ["augment.crop_scale=[0.5, 2]"], "less than or equal to 1, got 2"),
        (
            "paper",
            ["augment.crop_scale=[0.9, 0.5]"],
            "the smallest must not be above the largest",
        ),
        ("paper", ["optimizer.lr=.inf"], "optimizer.lr does not fit: Input should be a finite"),
        ("paper", ["strategy.name=distill"], "unknown strategy 'distill': did you mean 'distil'?"),
        ("paper", ["strategy.name=3"], "unknown strategy '3': known: "),
        (
            "paper",
            ["strategy.alpha=0.3"],
            "strategy has no name: set strategy.name to one of joint",
        ),
        ("paper", ["strategy=joint"], "strategy is a section, got the value 'joint': set one of "),
        ("paper", ["strategy.name=distil"], "strategy.teacher is missing: set it (--set strategy."),
        (
            "paper",
            ["strategy={name: self-distil, alphaa: 1}"],
            "section strategy of self-distil 'alphaa': did you mean 'alpha'?",
        ),
        (
            "paper",
            ["strategy={name: joint, alpha: 0.5}"],
            "section strategy of joint 'alpha'",
        ),
        (
            "paper",
            ["strategy={name: self-distil, alpha: 2}"],
            "strategy.alpha does not fit: Input should be less than 1, got 2",
        ),
        (
            "paper",
            ["strategy={name: weighted, weights: slowly}"],
            "strategy.weights does not fit: Input should be 'equal', 'linear'",
        ),
        ("paper", ["temperature=3"], "'temperature': did you mean 'strategy.temperature'?"),
    ],
)
def test_a_wrong_recipe_says_what_is_right(name, changes, message):
    with pytest.raises(UsageError) as caught:
        read_recipe(name, changes)
    assert message in str(caught.value)
