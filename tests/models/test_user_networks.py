"""Networks of a user's own file: what runs, when it may, and what is refused."""

import os

import pytest
import torch

from endoexit.artifacts.run import open_run
from endoexit.errors import ModelError, UsageError
from endoexit.models import NetworkSpec, user_networks
from endoexit.training.recipe import read_recipe
from endoexit.training.start import create_run

CODE = """\
import torch
from torch import nn

class Sides(nn.Module):
    def forward(self, x):
        if x.shape[2] % 16:
            raise ValueError("sides must be multiples of 16")
        return x

class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.first = nn.Sequential(Sides(), nn.Conv2d(3, 4, 3, 2, 1))
        self.blocks = nn.Sequential(*(nn.Sequential(nn.Conv2d(4, 4, 3, 1, 1), nn.ReLU()) for _ in range(4)))
        self.fc = nn.Linear(4, classes)

    def forward(self, x):
        return self.fc(self.blocks(self.first(x)).mean((2, 3)))

def tiny(classes):
    return Net(classes)

def depends(classes):
    net = Net(classes)
    class Jumps(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net
        def forward(self, x):
            return self.net(x if x.mean() > 0 else -x)
    return Jumps()

def number(classes):
    return classes

def failing(classes):
    raise KeyError("nothing here")
"""  # noqa: E501


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setenv(user_networks.VARIABLE, "")
    path = tmp_path / "mine.py"
    path.write_text(CODE)
    return path


def test_a_run_keeps_path_and_hash_of_the_code(file, tiny_manifest, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = read_recipe("paper", ["image.size=32", "image.canvas=32", "image.resize=stretch"])
    create_run(tmp_path / "run", tiny_manifest, "mine.py:tiny", recipe, seed=0, root=None)
    config = open_run(tmp_path / "run").config
    assert config.model == f"{file}:tiny"
    assert config.overrides["exits"].split(",")[-1].startswith("blocks.")
    model = config.network.build().eval()
    whole = user_networks.make(config.model, 3)
    assert model(torch.zeros(1, 3, 32, 32))[-1].shape == (1, 3)
    assert set(whole.state_dict()) == {
        "first.1.weight", "first.1.bias", "fc.weight", "fc.bias",
        *(f"blocks.{i}.0.{leaf}" for i in range(4) for leaf in ("weight", "bias")),
    }  # fmt: skip
    file.write_text(CODE + "\n# changed\n")
    with pytest.raises(ModelError, match="was changed since the training began"):
        config.network.build()


def test_code_runs_only_where_it_is_allowed(file):
    spec = NetworkSpec(f"{file}:tiny", 3, 32)
    with pytest.raises(UsageError, match=rf"look at it, then set ENDOEXIT_CODE={file}"):
        spec.build()
    user_networks.allow(f"{file}:tiny")
    user_networks.allow(f"{file}:tiny")
    assert os.environ[user_networks.VARIABLE] == str(file)
    assert spec.build().num_stages >= 3


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        ("tinny", UsageError, "unknown function in mine.py 'tinny': did you mean 'tiny'"),
        ("number", UsageError, "made a int: it must return a torch.nn.Module"),
        ("failing", UsageError, "failed for 3 classes .*must take the number of classes alone"),
        ("depends", ModelError, "depends on the images' values"),
    ],
)
def test_functions_that_make_no_network_are_refused(file, function, error, message):
    user_networks.allow(f"{file}:{function}")
    with pytest.raises(error, match=message):
        NetworkSpec(f"{file}:{function}", 3, 32, {"exits": "net.blocks.1"}).build()


def test_a_size_that_the_network_refuses_names_the_nearest_that_it_takes(file):
    user_networks.allow(f"{file}:tiny")
    with pytest.raises(UsageError, match=r"40×40 pixels .*multiples of 16.*takes is (32|48)\."):
        NetworkSpec(f"{file}:tiny", 3, 40).build()


def test_files_that_cannot_be_run_are_named(file, tmp_path):
    with pytest.raises(UsageError, match=r"there is no file .*other\.py"):
        NetworkSpec(f"{tmp_path}/other.py:tiny", 3, 32).settled()
    file.write_text("import nothing_of_this_name")
    user_networks.allow(f"{file}:tiny")
    with pytest.raises(UsageError, match=r"cannot be run .*nothing_of_this_name"):
        NetworkSpec(f"{file}:tiny", 3, 32).build()
