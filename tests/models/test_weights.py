"""Weights come back as they were written, and those of another network are refused by name."""

import pytest
import safetensors.torch
import torch
from torch import nn

from endoexit.errors import ModelError, RunError
from endoexit.models.weights import load_weights, save_weights, write_tensors


def network(width: int = 3) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, width, 1), nn.BatchNorm2d(width))


def test_parameters_and_buffers_come_back_bit_for_bit(tmp_path):
    model, loaded = network(), network()
    model[1].running_mean += 1
    model = model.to(memory_format=torch.channels_last)
    save_weights(model, tmp_path / "w.safetensors")
    load_weights(loaded, tmp_path / "w.safetensors")
    assert all(
        torch.equal(value, loaded.state_dict()[k]) for k, value in model.state_dict().items()
    )


def test_texts_of_the_header_are_kept(tmp_path):
    path = tmp_path / "w.safetensors"
    write_tensors({"a": torch.ones(2)}, path, {"step": "3"})
    with safetensors.safe_open(path, "pt") as file:
        assert file.metadata() == {"step": "3"}


def test_a_missing_and_a_damaged_file_are_named(tmp_path):
    with pytest.raises(RunError, match=r"no.safetensors does not exist"):
        load_weights(network(), tmp_path / "no.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0nonsense")
    with pytest.raises(RunError, match=r"bad.safetensors is damaged .*; restore it or train again"):
        load_weights(network(), tmp_path / "bad.safetensors")


def test_weights_of_another_network_change_nothing_and_name_five_faults(tmp_path):
    path, model = tmp_path / "w.safetensors", network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    save_weights(network(4), path)
    shapes = r"0\.weight: \(4, 3, 1, 1\) in the file, \(3, 3, 1, 1\) in the network"
    with pytest.raises(ModelError, match=rf"{shapes}.*; and 1 more\. Use"):
        load_weights(model, path)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    write_tensors({"other": torch.ones(1)}, path)
    with pytest.raises(ModelError, match=r"0.weight: missing in the file.*; and 3 more"):
        load_weights(model, path)
    write_tensors({**model.state_dict(), "other": torch.ones(1)}, path)
    with pytest.raises(ModelError, match=r": other: not in the network\."):
        load_weights(model, path)
